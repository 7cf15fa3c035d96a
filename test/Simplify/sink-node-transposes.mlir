// RUN: dlc-opt --split-input-file --dlc-sink-node-transposes %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: %[[R:.*]] = onnx.node "Relu"(%x)
// CHECK: onnx.node "Transpose"(%[[R]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %t = onnx.node "Transpose"(%x) {perm = array<i64: 1, 0>} : (tensor<2x4xf32>) -> ("t" : tensor<4x2xf32>)
    %y = onnx.node "Relu"(%t) : (tensor<4x2xf32>) -> ("y" : tensor<4x2xf32>)
    onnx.return %y : tensor<4x2xf32>
  }
}

// -----

// The transposed tensor is used otherwise, too.
// CHECK-LABEL: onnx.graph
// CHECK: "Transpose"(%x)
// CHECK: "Relu"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("t", "y") {
    %t = onnx.node "Transpose"(%x) {perm = array<i64: 1, 0>} : (tensor<2x4xf32>) -> ("t" : tensor<4x2xf32>)
    %y = onnx.node "Relu"(%t) : (tensor<4x2xf32>) -> ("y" : tensor<4x2xf32>)
    onnx.return %t, %y : tensor<4x2xf32>, tensor<4x2xf32>
  }
}
