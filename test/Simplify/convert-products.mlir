// RUN: dlc-opt --split-input-file --dlc-convert-products %s | FileCheck %s

// A product between transposes.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Conv"(%x, %{{.*}}, %{{.*}}) {kernel_shape = array<i64: 1, 1>}
// CHECK-NOT: "MatMul"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<3x6xf32>
    %b = onnx.initializer "b" = dense<0.5> : tensor<6xf32>
    %a = onnx.node "Transpose"(%x) {perm = array<i64: 0, 2, 3, 1>} : (tensor<1x3x8x8xf32>) -> ("a" : tensor<1x8x8x3xf32>)
    %m = onnx.node "MatMul"(%a, %w) : (tensor<1x8x8x3xf32>, tensor<3x6xf32>) -> ("m" : tensor<1x8x8x6xf32>)
    %s = onnx.node "Add"(%m, %b) : (tensor<1x8x8x6xf32>, tensor<6xf32>) -> ("s" : tensor<1x8x8x6xf32>)
    %y = onnx.node "Transpose"(%s) {perm = array<i64: 0, 3, 1, 2>} : (tensor<1x8x8x6xf32>) -> ("y" : tensor<1x6x8x8xf32>)
    onnx.return %y : tensor<1x6x8x8xf32>
  }
}

// -----

// Turned otherwise.
// CHECK-LABEL: onnx.graph
// CHECK: "MatMul"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<3x6xf32>
    %a = onnx.node "Transpose"(%x) {perm = array<i64: 0, 2, 3, 1>} : (tensor<1x3x8x8xf32>) -> ("a" : tensor<1x8x8x3xf32>)
    %m = onnx.node "MatMul"(%a, %w) : (tensor<1x8x8x3xf32>, tensor<3x6xf32>) -> ("m" : tensor<1x8x8x6xf32>)
    %y = onnx.node "Transpose"(%m) {perm = array<i64: 0, 3, 2, 1>} : (tensor<1x8x8x6xf32>) -> ("y" : tensor<1x6x8x8xf32>)
    onnx.return %y : tensor<1x6x8x8xf32>
  }
}

// -----

// A convolution of a mean.
// CHECK-LABEL: onnx.graph
// CHECK: %[[F:.*]] = onnx.node "Flatten"(%g)
// CHECK: onnx.node "Gemm"(%[[F]], %{{.*}}) {transB = 1 : i64}
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<6x3x1x1xf32>
    %g = onnx.node "GlobalAveragePool"(%x) : (tensor<1x3x8x8xf32>) -> ("g" : tensor<1x3x1x1xf32>)
    %c = onnx.node "Conv"(%g, %w) : (tensor<1x3x1x1xf32>, tensor<6x3x1x1xf32>) -> ("c" : tensor<1x6x1x1xf32>)
    %y = onnx.node "Flatten"(%c) : (tensor<1x6x1x1xf32>) -> ("y" : tensor<1x6xf32>)
    onnx.return %y : tensor<1x6xf32>
  }
}

// -----

// Of a picture it stays one.
// CHECK-LABEL: onnx.graph
// CHECK: "Conv"
// CHECK: "Flatten"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<6x3x1x1xf32>
    %c = onnx.node "Conv"(%x, %w) : (tensor<1x3x8x8xf32>, tensor<6x3x1x1xf32>) -> ("c" : tensor<1x6x8x8xf32>)
    %y = onnx.node "Flatten"(%c) : (tensor<1x6x8x8xf32>) -> ("y" : tensor<1x384xf32>)
    onnx.return %y : tensor<1x384xf32>
  }
}
