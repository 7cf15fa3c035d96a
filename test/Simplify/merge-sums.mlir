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

// -----

// Two that do not fit into each other both fit into the third.
// CHECK-LABEL: onnx.graph
// CHECK: "Conv"
// CHECK-NOT: "Conv"
// CHECK: onnx.return
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x4x8x8xf32>) -> ("y") {
    %w3 = onnx.initializer "w3" = dense<0.1> : tensor<4x4x3x3xf32>
    %wa = onnx.initializer "wa" = dense<0.2> : tensor<4x4x1x3xf32>
    %wb = onnx.initializer "wb" = dense<0.3> : tensor<4x4x3x1xf32>
    %a = onnx.node "Conv"(%x, %w3) {pads = array<i64: 1, 1, 1, 1>} : (tensor<1x4x8x8xf32>, tensor<4x4x3x3xf32>) -> ("a" : tensor<1x4x8x8xf32>)
    %b = onnx.node "Conv"(%x, %wa) {pads = array<i64: 0, 1, 0, 1>} : (tensor<1x4x8x8xf32>, tensor<4x4x1x3xf32>) -> ("b" : tensor<1x4x8x8xf32>)
    %c = onnx.node "Conv"(%x, %wb) {pads = array<i64: 1, 0, 1, 0>} : (tensor<1x4x8x8xf32>, tensor<4x4x3x1xf32>) -> ("c" : tensor<1x4x8x8xf32>)
    %y = onnx.node "Sum"(%b, %c, %a) : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> ("y" : tensor<1x4x8x8xf32>)
    onnx.return %y : tensor<1x4x8x8xf32>
  }
}

// -----

// One that looks elsewhere is added behind.
// CHECK-LABEL: onnx.graph
// CHECK-COUNT-2: "Conv"
// CHECK-NOT: "Conv"
// CHECK: onnx.node "Add"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x4x8x8xf32>) -> ("y") {
    %w3 = onnx.initializer "w3" = dense<0.1> : tensor<4x4x3x3xf32>
    %wa = onnx.initializer "wa" = dense<0.2> : tensor<4x4x1x3xf32>
    %wb = onnx.initializer "wb" = dense<0.3> : tensor<4x4x3x1xf32>
    %a = onnx.node "Conv"(%x, %w3) {pads = array<i64: 1, 1, 1, 1>} : (tensor<1x4x8x8xf32>, tensor<4x4x3x3xf32>) -> ("a" : tensor<1x4x8x8xf32>)
    %b = onnx.node "Conv"(%x, %wa) {pads = array<i64: 0, 1, 0, 1>} : (tensor<1x4x8x8xf32>, tensor<4x4x1x3xf32>) -> ("b" : tensor<1x4x8x8xf32>)
    %c = onnx.node "Conv"(%x, %wb) {pads = array<i64: 2, 0, 0, 0>} : (tensor<1x4x8x8xf32>, tensor<4x4x3x1xf32>) -> ("c" : tensor<1x4x8x8xf32>)
    %y = onnx.node "Sum"(%b, %c, %a) : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> ("y" : tensor<1x4x8x8xf32>)
    onnx.return %y : tensor<1x4x8x8xf32>
  }
}
