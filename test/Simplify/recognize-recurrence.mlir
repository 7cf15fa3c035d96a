// RUN: dlc-opt --split-input-file --dlc-recognize-recurrence %s | FileCheck %s

// Two steps of a sequence of two.
// CHECK-LABEL: onnx.graph
// CHECK: %[[Y:.*]], %[[H:.*]] = onnx.node "RNN"(%x, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {activations = ["Tanh"], hidden_size = 4 : i64}
// CHECK: onnx.node "Squeeze"(%[[H]]
// CHECK-NOT: "Tanh"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x?x3xf32>, %h "h" : tensor<?x4xf32>) -> ("h1") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<3x4xf32>
    %r = onnx.initializer "r" = dense<0.5> : tensor<4x4xf32>
    %i0 = onnx.initializer "i0" = dense<0> : tensor<i64>
    %i1 = onnx.initializer "i1" = dense<1> : tensor<i64>
    %x0 = onnx.node "Gather"(%x, %i0) {axis = 0 : i64} : (tensor<2x?x3xf32>, tensor<i64>) -> ("x0" : tensor<?x3xf32>)
    %a0 = onnx.node "MatMul"(%x0, %w) : (tensor<?x3xf32>, tensor<3x4xf32>) -> ("a0" : tensor<?x4xf32>)
    %b0 = onnx.node "MatMul"(%h, %r) : (tensor<?x4xf32>, tensor<4x4xf32>) -> ("b0" : tensor<?x4xf32>)
    %s0 = onnx.node "Add"(%a0, %b0) : (tensor<?x4xf32>, tensor<?x4xf32>) -> ("s0" : tensor<?x4xf32>)
    %h0 = onnx.node "Tanh"(%s0) : (tensor<?x4xf32>) -> ("h0" : tensor<?x4xf32>)
    %x1 = onnx.node "Gather"(%x, %i1) {axis = 0 : i64} : (tensor<2x?x3xf32>, tensor<i64>) -> ("x1" : tensor<?x3xf32>)
    %a1 = onnx.node "MatMul"(%x1, %w) : (tensor<?x3xf32>, tensor<3x4xf32>) -> ("a1" : tensor<?x4xf32>)
    %b1 = onnx.node "MatMul"(%h0, %r) : (tensor<?x4xf32>, tensor<4x4xf32>) -> ("b1" : tensor<?x4xf32>)
    %s1 = onnx.node "Add"(%a1, %b1) : (tensor<?x4xf32>, tensor<?x4xf32>) -> ("s1" : tensor<?x4xf32>)
    %h1 = onnx.node "Tanh"(%s1) : (tensor<?x4xf32>) -> ("h1" : tensor<?x4xf32>)
    onnx.return %h1 : tensor<?x4xf32>
  }
}

// -----

// The second step has other weights.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "RNN"
// CHECK: onnx.node "Tanh"
// CHECK: onnx.node "Tanh"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x?x3xf32>, %h "h" : tensor<?x4xf32>) -> ("h1") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<3x4xf32>
    %v = onnx.initializer "v" = dense<0.7> : tensor<3x4xf32>
    %r = onnx.initializer "r" = dense<0.5> : tensor<4x4xf32>
    %i0 = onnx.initializer "i0" = dense<0> : tensor<i64>
    %i1 = onnx.initializer "i1" = dense<1> : tensor<i64>
    %x0 = onnx.node "Gather"(%x, %i0) {axis = 0 : i64} : (tensor<2x?x3xf32>, tensor<i64>) -> ("x0" : tensor<?x3xf32>)
    %a0 = onnx.node "MatMul"(%x0, %w) : (tensor<?x3xf32>, tensor<3x4xf32>) -> ("a0" : tensor<?x4xf32>)
    %b0 = onnx.node "MatMul"(%h, %r) : (tensor<?x4xf32>, tensor<4x4xf32>) -> ("b0" : tensor<?x4xf32>)
    %s0 = onnx.node "Add"(%a0, %b0) : (tensor<?x4xf32>, tensor<?x4xf32>) -> ("s0" : tensor<?x4xf32>)
    %h0 = onnx.node "Tanh"(%s0) : (tensor<?x4xf32>) -> ("h0" : tensor<?x4xf32>)
    %x1 = onnx.node "Gather"(%x, %i1) {axis = 0 : i64} : (tensor<2x?x3xf32>, tensor<i64>) -> ("x1" : tensor<?x3xf32>)
    %a1 = onnx.node "MatMul"(%x1, %v) : (tensor<?x3xf32>, tensor<3x4xf32>) -> ("a1" : tensor<?x4xf32>)
    %b1 = onnx.node "MatMul"(%h0, %r) : (tensor<?x4xf32>, tensor<4x4xf32>) -> ("b1" : tensor<?x4xf32>)
    %s1 = onnx.node "Add"(%a1, %b1) : (tensor<?x4xf32>, tensor<?x4xf32>) -> ("s1" : tensor<?x4xf32>)
    %h1 = onnx.node "Tanh"(%s1) : (tensor<?x4xf32>) -> ("h1" : tensor<?x4xf32>)
    onnx.return %h1 : tensor<?x4xf32>
  }
}
