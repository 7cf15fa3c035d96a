// RUN: dlc-opt --split-input-file --dlc-recognize-attention %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Attention"(%q, %k, %v, %mask) {scale = 5.000000e-01 : f32}
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<1x2x3x4xf32>, %k "k" : tensor<1x2x3x4xf32>, %v "v" : tensor<1x2x3x4xf32>, %mask "mask" : tensor<1x1x3x3xf32>) -> ("y") {
    %k2 = onnx.initializer "k2" = dense<2.0> : tensor<f32>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<1x2x3x4xf32>) -> ("kt" : tensor<1x2x4x3xf32>)
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<1x2x3x4xf32>, tensor<1x2x4x3xf32>) -> ("s" : tensor<1x2x3x3xf32>)
    %d = onnx.node "Div"(%s, %k2) : (tensor<1x2x3x3xf32>, tensor<f32>) -> ("d" : tensor<1x2x3x3xf32>)
    %m = onnx.node "Add"(%d, %mask) : (tensor<1x2x3x3xf32>, tensor<1x1x3x3xf32>) -> ("m" : tensor<1x2x3x3xf32>)
    %p = onnx.node "Softmax"(%m) {axis = -1 : i64} : (tensor<1x2x3x3xf32>) -> ("p" : tensor<1x2x3x3xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<1x2x3x3xf32>, tensor<1x2x3x4xf32>) -> ("y" : tensor<1x2x3x4xf32>)
    onnx.return %y : tensor<1x2x3x4xf32>
  }
}

// -----

// The operator has no mask that is repeated along the queries.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "Attention"
// CHECK: "Softmax"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<1x2x3x4xf32>, %k "k" : tensor<1x2x3x4xf32>, %v "v" : tensor<1x2x3x4xf32>, %mask "mask" : tensor<1x1x1x3xf32>) -> ("y") {
    %k2 = onnx.initializer "k2" = dense<2.0> : tensor<f32>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<1x2x3x4xf32>) -> ("kt" : tensor<1x2x4x3xf32>)
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<1x2x3x4xf32>, tensor<1x2x4x3xf32>) -> ("s" : tensor<1x2x3x3xf32>)
    %d = onnx.node "Div"(%s, %k2) : (tensor<1x2x3x3xf32>, tensor<f32>) -> ("d" : tensor<1x2x3x3xf32>)
    %m = onnx.node "Add"(%d, %mask) : (tensor<1x2x3x3xf32>, tensor<1x1x1x3xf32>) -> ("m" : tensor<1x2x3x3xf32>)
    %p = onnx.node "Softmax"(%m) {axis = -1 : i64} : (tensor<1x2x3x3xf32>) -> ("p" : tensor<1x2x3x3xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<1x2x3x3xf32>, tensor<1x2x3x4xf32>) -> ("y" : tensor<1x2x3x4xf32>)
    onnx.return %y : tensor<1x2x3x4xf32>
  }
}
