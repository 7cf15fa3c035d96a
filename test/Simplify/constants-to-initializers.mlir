// RUN: dlc-opt --split-input-file --dlc-constants-to-initializers %s | FileCheck %s

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
