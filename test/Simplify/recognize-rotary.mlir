// RUN: dlc-opt --split-input-file --dlc-recognize-rotary %s | FileCheck %s

// Halves of the tables are equal.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "RotaryEmbedding"(%x, %{{.*}}, %{{.*}}, %{{.*}}) : (tensor<1x2x3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>, tensor<1x3xi64>)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x2x3x4xf32>) -> ("y") {
    %cos = onnx.initializer "cos" = dense<[[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %sin = onnx.initializer "sin" = dense<[[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %h = onnx.initializer "h" = dense<[2, 2]> : tensor<2xi64>
    %a, %b = onnx.node "Split"(%x, %h) {axis = 3 : i64} : (tensor<1x2x3x4xf32>, tensor<2xi64>) -> ("a" : tensor<1x2x3x2xf32>, "b" : tensor<1x2x3x2xf32>)
    %n = onnx.node "Neg"(%b) : (tensor<1x2x3x2xf32>) -> ("n" : tensor<1x2x3x2xf32>)
    %r = onnx.node "Concat"(%n, %a) {axis = -1 : i64} : (tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> ("r" : tensor<1x2x3x4xf32>)
    %c = onnx.node "Mul"(%x, %cos) : (tensor<1x2x3x4xf32>, tensor<3x4xf32>) -> ("c" : tensor<1x2x3x4xf32>)
    %s = onnx.node "Mul"(%r, %sin) : (tensor<1x2x3x4xf32>, tensor<3x4xf32>) -> ("s" : tensor<1x2x3x4xf32>)
    %y = onnx.node "Add"(%c, %s) : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> ("y" : tensor<1x2x3x4xf32>)
    onnx.return %y : tensor<1x2x3x4xf32>
  }
}

// -----

// Other halves.
// CHECK-LABEL: onnx.graph
// CHECK: "Concat"
// CHECK-NOT: "RotaryEmbedding"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x2x3x4xf32>) -> ("y") {
    %cos = onnx.initializer "cos" = dense<[[1.0, 2.0, 1.0, 7.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %sin = onnx.initializer "sin" = dense<[[1.0, 2.0, 1.0, 7.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %h = onnx.initializer "h" = dense<[2, 2]> : tensor<2xi64>
    %a, %b = onnx.node "Split"(%x, %h) {axis = 3 : i64} : (tensor<1x2x3x4xf32>, tensor<2xi64>) -> ("a" : tensor<1x2x3x2xf32>, "b" : tensor<1x2x3x2xf32>)
    %n = onnx.node "Neg"(%b) : (tensor<1x2x3x2xf32>) -> ("n" : tensor<1x2x3x2xf32>)
    %r = onnx.node "Concat"(%n, %a) {axis = -1 : i64} : (tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> ("r" : tensor<1x2x3x4xf32>)
    %c = onnx.node "Mul"(%x, %cos) : (tensor<1x2x3x4xf32>, tensor<3x4xf32>) -> ("c" : tensor<1x2x3x4xf32>)
    %s = onnx.node "Mul"(%r, %sin) : (tensor<1x2x3x4xf32>, tensor<3x4xf32>) -> ("s" : tensor<1x2x3x4xf32>)
    %y = onnx.node "Add"(%c, %s) : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> ("y" : tensor<1x2x3x4xf32>)
    onnx.return %y : tensor<1x2x3x4xf32>
  }
}

// -----

// A batch that is not known has no table for each.
// CHECK-LABEL: onnx.graph
// CHECK: "Concat"
// CHECK-NOT: "RotaryEmbedding"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x2x3x4xf32>) -> ("y") {
    %cos = onnx.initializer "cos" = dense<[[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %sin = onnx.initializer "sin" = dense<[[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %h = onnx.initializer "h" = dense<[2, 2]> : tensor<2xi64>
    %a, %b = onnx.node "Split"(%x, %h) {axis = 3 : i64} : (tensor<?x2x3x4xf32>, tensor<2xi64>) -> ("a" : tensor<?x2x3x2xf32>, "b" : tensor<?x2x3x2xf32>)
    %n = onnx.node "Neg"(%b) : (tensor<?x2x3x2xf32>) -> ("n" : tensor<?x2x3x2xf32>)
    %r = onnx.node "Concat"(%n, %a) {axis = -1 : i64} : (tensor<?x2x3x2xf32>, tensor<?x2x3x2xf32>) -> ("r" : tensor<?x2x3x4xf32>)
    %c = onnx.node "Mul"(%x, %cos) : (tensor<?x2x3x4xf32>, tensor<3x4xf32>) -> ("c" : tensor<?x2x3x4xf32>)
    %s = onnx.node "Mul"(%r, %sin) : (tensor<?x2x3x4xf32>, tensor<3x4xf32>) -> ("s" : tensor<?x2x3x4xf32>)
    %y = onnx.node "Add"(%c, %s) : (tensor<?x2x3x4xf32>, tensor<?x2x3x4xf32>) -> ("y" : tensor<?x2x3x4xf32>)
    onnx.return %y : tensor<?x2x3x4xf32>
  }
}
