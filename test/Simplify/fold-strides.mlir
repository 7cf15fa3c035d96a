// RUN: dlc-opt --split-input-file --dlc-fold-strides %s | FileCheck %s

// Steps behind a convolution.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Conv"(%x, %w) {strides = array<i64: 2, 2>}
// CHECK-NOT: "Slice"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<6x3x1x1xf32>
    %b = onnx.initializer "b" = dense<[0, 0]> : tensor<2xi64>
    %e = onnx.initializer "e" = dense<[9223372036854775807, 9223372036854775807]> : tensor<2xi64>
    %at = onnx.initializer "at" = dense<[2, 3]> : tensor<2xi64>
    %p = onnx.initializer "p" = dense<[2, 2]> : tensor<2xi64>
    %c = onnx.node "Conv"(%x, %w) : (tensor<1x3x8x8xf32>, tensor<6x3x1x1xf32>) -> ("c" : tensor<1x6x8x8xf32>)
    %y = onnx.node "Slice"(%c, %b, %e, %at, %p) : (tensor<1x6x8x8xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> ("y" : tensor<1x6x4x4xf32>)
    onnx.return %y : tensor<1x6x4x4xf32>
  }
}

// -----

// Steps from 1 on.
// CHECK-LABEL: onnx.graph
// CHECK: "Conv"
// CHECK: "Slice"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<6x3x1x1xf32>
    %b = onnx.initializer "b" = dense<[1, 1]> : tensor<2xi64>
    %e = onnx.initializer "e" = dense<[9223372036854775807, 9223372036854775807]> : tensor<2xi64>
    %at = onnx.initializer "at" = dense<[2, 3]> : tensor<2xi64>
    %p = onnx.initializer "p" = dense<[2, 2]> : tensor<2xi64>
    %c = onnx.node "Conv"(%x, %w) : (tensor<1x3x8x8xf32>, tensor<6x3x1x1xf32>) -> ("c" : tensor<1x6x8x8xf32>)
    %y = onnx.node "Slice"(%c, %b, %e, %at, %p) : (tensor<1x6x8x8xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> ("y" : tensor<1x6x4x4xf32>)
    onnx.return %y : tensor<1x6x4x4xf32>
  }
}

// -----

// Squares become a part of the window.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Conv"(%x, %{{.*}}) {kernel_shape = array<i64: 6, 6>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>}
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<6x12x3x3xf32>
    %s = onnx.node "SpaceToDepth"(%x) {blocksize = 2 : i64} : (tensor<1x3x8x8xf32>) -> ("s" : tensor<1x12x4x4xf32>)
    %y = onnx.node "Conv"(%s, %w) : (tensor<1x12x4x4xf32>, tensor<6x12x3x3xf32>) -> ("y" : tensor<1x6x2x2xf32>)
    onnx.return %y : tensor<1x6x2x2xf32>
  }
}

// -----

// Of groups each would see other channels.
// CHECK-LABEL: onnx.graph
// CHECK: "SpaceToDepth"
// CHECK: "Conv"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<6x6x3x3xf32>
    %s = onnx.node "SpaceToDepth"(%x) {blocksize = 2 : i64} : (tensor<1x3x8x8xf32>) -> ("s" : tensor<1x12x4x4xf32>)
    %y = onnx.node "Conv"(%s, %w) {group = 2 : i64} : (tensor<1x12x4x4xf32>, tensor<6x6x3x3xf32>) -> ("y" : tensor<1x6x2x2xf32>)
    onnx.return %y : tensor<1x6x2x2xf32>
  }
}
