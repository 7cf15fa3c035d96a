// RUN: dlc-opt --split-input-file --dlc-merge-parallel %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: %[[J:.*]] = onnx.node "MatMul"(%x, %{{.*}}) : (tensor<1x2x4xf32>, tensor<4x10xf32>)
// CHECK: onnx.node "Split"(%[[J]], %{{.*}}) {axis = 2 : i64}
// CHECK-NOT: "MatMul"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x2x4xf32>) -> ("q", "k", "v") {
    %a = onnx.initializer "a" = dense<1.0> : tensor<4x4xf32>
    %b = onnx.initializer "b" = dense<2.0> : tensor<4x4xf32>
    %c = onnx.initializer "c" = dense<3.0> : tensor<4x2xf32>
    %q = onnx.node "MatMul"(%x, %a) : (tensor<1x2x4xf32>, tensor<4x4xf32>) -> ("q" : tensor<1x2x4xf32>)
    %k = onnx.node "MatMul"(%x, %b) : (tensor<1x2x4xf32>, tensor<4x4xf32>) -> ("k" : tensor<1x2x4xf32>)
    %v = onnx.node "MatMul"(%x, %c) : (tensor<1x2x4xf32>, tensor<4x2xf32>) -> ("v" : tensor<1x2x2xf32>)
    onnx.return %q, %k, %v : tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x2xf32>
  }
}

// -----

// Two products and a split are no fewer nodes than two products.
// CHECK-LABEL: onnx.graph
// CHECK-COUNT-2: "MatMul"
// CHECK-NOT: "Split"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x2x4xf32>) -> ("q", "k") {
    %a = onnx.initializer "a" = dense<1.0> : tensor<4x4xf32>
    %b = onnx.initializer "b" = dense<2.0> : tensor<4x4xf32>
    %q = onnx.node "MatMul"(%x, %a) : (tensor<1x2x4xf32>, tensor<4x4xf32>) -> ("q" : tensor<1x2x4xf32>)
    %k = onnx.node "MatMul"(%x, %b) : (tensor<1x2x4xf32>, tensor<4x4xf32>) -> ("k" : tensor<1x2x4xf32>)
    onnx.return %q, %k : tensor<1x2x4xf32>, tensor<1x2x4xf32>
  }
}
