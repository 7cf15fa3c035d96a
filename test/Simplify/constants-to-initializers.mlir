// RUN: dlc-opt --split-input-file --dlc-constants-to-initializers %s | FileCheck %s
// RUN: dlc-opt --split-input-file --dlc-constants-to-initializers=keep-inputs=false %s | FileCheck %s --check-prefix=OBJECT

// CHECK-LABEL: onnx.graph
// CHECK: onnx.initializer "c" = dense<2.000000e+00> : tensor<f32>
// CHECK-NOT: onnx.node "Constant"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %c = onnx.node "Constant"() {value_float = 2.0 : f32} : () -> ("c" : tensor<f32>)
    %y = onnx.node "Mul"(%x, %c) : (tensor<2x4xf32>, tensor<f32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// A sparse constant is no initializer of elements.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Constant"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %c = onnx.node "Constant"() {sparse_value = #onnx.sparse_elements<tensor<2x4xf32>, dense<2.0> : tensor<1xf32>, dense<5> : tensor<1xi64>>} : () -> ("c" : tensor<2x4xf32>)
    %y = onnx.node "Mul"(%x, %c) : (tensor<2x4xf32>, tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// Every initializer had to be an input: it is a weight.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.initializer "w"
// CHECK-NOT: input
// CHECK: onnx.node
module attributes {onnx.original_ir_version = 3 : i64, onnx.ir_version = 14 : i64, onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %w = onnx.initializer "w" {input = 1 : i64} = dense<2.0> : tensor<2x4xf32>
    %y = onnx.node "Mul"(%x, %w) : (tensor<2x4xf32>, tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// Later it is a default that a caller may overrule.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.initializer "w"
// CHECK-SAME: input = 1
module attributes {onnx.ir_version = 4 : i64, onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %w = onnx.initializer "w" {input = 1 : i64} = dense<2.0> : tensor<2x4xf32>
    %y = onnx.node "Mul"(%x, %w) : (tensor<2x4xf32>, tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// An input with a default value is another thing in newer models.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.initializer "w" {input = 1 : i64}
// OBJECT: onnx.initializer "w" = dense
module attributes {onnx.ir_version = 14 : i64, onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %w = onnx.initializer "w" {input = 1 : i64} = dense<3.0> : tensor<2x4xf32>
    %y = onnx.node "Mul"(%x, %w) : (tensor<2x4xf32>, tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}
