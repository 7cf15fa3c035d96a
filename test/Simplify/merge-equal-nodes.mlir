// RUN: dlc-opt --split-input-file --dlc-merge-equal-nodes %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: %[[A:.*]] = onnx.node "Relu"
// CHECK-NOT: "Relu"
// CHECK: onnx.node "Add"(%[[A]], %[[A]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %a = onnx.node "Relu"(%x) : (tensor<2x4xf32>) -> ("a" : tensor<2x4xf32>)
    %b = onnx.node "Relu"(%x) : (tensor<2x4xf32>) -> ("b" : tensor<2x4xf32>)
    %y = onnx.node "Add"(%a, %b) : (tensor<2x4xf32>, tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// Equal weights.
// CHECK-LABEL: onnx.graph
// CHECK-COUNT-1: onnx.initializer
// CHECK-NOT: onnx.initializer
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %v = onnx.initializer "v" = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
    %w = onnx.initializer "w" = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
    %a = onnx.node "Add"(%x, %v) : (tensor<2x4xf32>, tensor<4xf32>) -> ("a" : tensor<2x4xf32>)
    %y = onnx.node "Mul"(%a, %w) : (tensor<2x4xf32>, tensor<4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// Random numbers differ, and so do other attributes.
// CHECK-LABEL: onnx.graph
// CHECK-COUNT-2: "RandomNormalLike"
// CHECK-COUNT-2: "LeakyRelu"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("b", "c", "d") {
    %a = onnx.node "RandomNormalLike"(%x) : (tensor<2x4xf32>) -> ("a" : tensor<2x4xf32>)
    %b = onnx.node "RandomNormalLike"(%x) : (tensor<2x4xf32>) -> ("b" : tensor<2x4xf32>)
    %c = onnx.node "LeakyRelu"(%a) {alpha = 0.1 : f32} : (tensor<2x4xf32>) -> ("c" : tensor<2x4xf32>)
    %d = onnx.node "LeakyRelu"(%a) {alpha = 0.2 : f32} : (tensor<2x4xf32>) -> ("d" : tensor<2x4xf32>)
    onnx.return %b, %c, %d : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>
  }
}
