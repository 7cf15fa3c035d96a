// RUN: dlc-opt --split-input-file --dlc-cancel-transposes %s | FileCheck %s

// A region with a constant and a join; of a size that is not known.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "Transpose"(%x)
// CHECK: %[[A:.*]] = onnx.node "Mul"(%x, %{{.*}})
// CHECK: %[[B:.*]] = onnx.node "Sigmoid"(%[[A]])
// CHECK: %[[Y:.*]] = onnx.node "Concat"(%[[A]], %[[B]]) {axis = 1 : i64} : (tensor<?x3x8x8xf32>, tensor<?x3x8x8xf32>) -> ({{.*}} : tensor<?x6x8x8xf32>)
// CHECK-NEXT: onnx.return %[[Y]]
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x3x8x8xf32>) -> ("y") {
    %k = onnx.initializer "k" = dense<0.5> : tensor<8x3xf32>
    %a = onnx.node "Transpose"(%x) {perm = array<i64: 0, 2, 3, 1>} : (tensor<?x3x8x8xf32>) -> ("a" : tensor<?x8x8x3xf32>)
    %m = onnx.node "Mul"(%a, %k) : (tensor<?x8x8x3xf32>, tensor<8x3xf32>) -> ("m" : tensor<?x8x8x3xf32>)
    %s = onnx.node "Sigmoid"(%m) : (tensor<?x8x8x3xf32>) -> ("s" : tensor<?x8x8x3xf32>)
    %c = onnx.node "Concat"(%m, %s) {axis = -1 : i64} : (tensor<?x8x8x3xf32>, tensor<?x8x8x3xf32>) -> ("c" : tensor<?x8x8x6xf32>)
    %y = onnx.node "Transpose"(%c) {perm = array<i64: 0, 3, 1, 2>} : (tensor<?x8x8x6xf32>) -> ("y" : tensor<?x6x8x8xf32>)
    onnx.return %y : tensor<?x6x8x8xf32>
  }
}

// -----

// As many transposes are left when it is turned.
// CHECK-LABEL: onnx.graph
// CHECK: "Transpose"(%x)
// CHECK: "Exp"(%a)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %a = onnx.node "Transpose"(%x) {perm = array<i64: 0, 2, 3, 1>} : (tensor<1x3x8x8xf32>) -> ("a" : tensor<1x8x8x3xf32>)
    %y = onnx.node "Exp"(%a) : (tensor<1x8x8x3xf32>) -> ("y" : tensor<1x8x8x3xf32>)
    onnx.return %y : tensor<1x8x8x3xf32>
  }
}

// -----

// A product is of the last axis.
// CHECK-LABEL: onnx.graph
// CHECK: "Transpose"
// CHECK: "MatMul"
// CHECK: "Transpose"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<3x3xf32>
    %a = onnx.node "Transpose"(%x) {perm = array<i64: 0, 2, 3, 1>} : (tensor<1x3x8x8xf32>) -> ("a" : tensor<1x8x8x3xf32>)
    %m = onnx.node "MatMul"(%a, %w) : (tensor<1x8x8x3xf32>, tensor<3x3xf32>) -> ("m" : tensor<1x8x8x3xf32>)
    %y = onnx.node "Transpose"(%m) {perm = array<i64: 0, 3, 1, 2>} : (tensor<1x8x8x3xf32>) -> ("y" : tensor<1x3x8x8xf32>)
    onnx.return %y : tensor<1x3x8x8xf32>
  }
}
