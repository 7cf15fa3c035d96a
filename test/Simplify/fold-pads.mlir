// RUN: dlc-opt --split-input-file --dlc-fold-pads %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Conv"(%x, %a) {pads = array<i64: 1, 1, 1, 1>}
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %am = onnx.initializer "am" = dense<[0, 0, 1, 1, 0, 0, 1, 1]> : tensor<8xi64>
    %pv = onnx.initializer "pv" = dense<0.0> : tensor<f32>
    %a = onnx.initializer "a" = dense<1.0> : tensor<3x3x3x3xf32>
    %p = onnx.node "Pad"(%x, %am, %pv) : (tensor<1x3x8x8xf32>, tensor<8xi64>, tensor<f32>) -> ("p" : tensor<1x3x10x10xf32>)
    %y = onnx.node "Conv"(%p, %a) : (tensor<1x3x10x10xf32>, tensor<3x3x3x3xf32>) -> ("y" : tensor<1x3x8x8xf32>)
    onnx.return %y : tensor<1x3x8x8xf32>
  }
}

// -----

// Padding of a convolution is of zeros.
// CHECK-LABEL: onnx.graph
// CHECK: "Pad"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %am = onnx.initializer "am" = dense<[0, 0, 1, 1, 0, 0, 1, 1]> : tensor<8xi64>
    %pv = onnx.initializer "pv" = dense<1.0> : tensor<f32>
    %a = onnx.initializer "a" = dense<1.0> : tensor<3x3x3x3xf32>
    %p = onnx.node "Pad"(%x, %am, %pv) : (tensor<1x3x8x8xf32>, tensor<8xi64>, tensor<f32>) -> ("p" : tensor<1x3x10x10xf32>)
    %y = onnx.node "Conv"(%p, %a) : (tensor<1x3x10x10xf32>, tensor<3x3x3x3xf32>) -> ("y" : tensor<1x3x8x8xf32>)
    onnx.return %y : tensor<1x3x8x8xf32>
  }
}
