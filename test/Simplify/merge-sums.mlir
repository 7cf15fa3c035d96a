// RUN: dlc-opt --split-input-file --dlc-merge-sums %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Pad"
// CHECK: onnx.node "Conv"(%x, %{{.*}}) {pads = array<i64: 1, 1, 1, 1>}
// CHECK-NEXT: onnx.return
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %a = onnx.initializer "a" = dense<1.0> : tensor<3x3x3x3xf32>
    %b = onnx.initializer "b" = dense<2.0> : tensor<3x3x1x1xf32>
    %p = onnx.node "Conv"(%x, %a) {pads = array<i64: 1, 1, 1, 1>} : (tensor<1x3x8x8xf32>, tensor<3x3x3x3xf32>) -> ("p" : tensor<1x3x8x8xf32>)
    %q = onnx.node "Conv"(%x, %b) : (tensor<1x3x8x8xf32>, tensor<3x3x1x1xf32>) -> ("q" : tensor<1x3x8x8xf32>)
    %y = onnx.node "Add"(%p, %q) : (tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>) -> ("y" : tensor<1x3x8x8xf32>)
    onnx.return %y : tensor<1x3x8x8xf32>
  }
}

// -----

// Windows of other elements: no larger one has both.
// CHECK-LABEL: onnx.graph
// CHECK-COUNT-2: "Conv"
// CHECK: "Add"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %a = onnx.initializer "a" = dense<1.0> : tensor<3x3x3x3xf32>
    %b = onnx.initializer "b" = dense<2.0> : tensor<3x3x3x3xf32>
    %p = onnx.node "Conv"(%x, %a) {pads = array<i64: 1, 1, 1, 1>} : (tensor<1x3x8x8xf32>, tensor<3x3x3x3xf32>) -> ("p" : tensor<1x3x8x8xf32>)
    %q = onnx.node "Conv"(%x, %b) {dilations = array<i64: 2, 2>, pads = array<i64: 2, 2, 2, 2>} : (tensor<1x3x8x8xf32>, tensor<3x3x3x3xf32>) -> ("q" : tensor<1x3x8x8xf32>)
    %y = onnx.node "Add"(%p, %q) : (tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>) -> ("y" : tensor<1x3x8x8xf32>)
    onnx.return %y : tensor<1x3x8x8xf32>
  }
}
