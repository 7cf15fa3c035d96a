// RUN: dlc-opt --split-input-file --dlc-cancel-quantizations %s | FileCheck %s

// Bytes are moved as they are.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Transpose"(%q) {perm = array<i64: 1, 0>} : (tensor<2x3xui8>) -> ("y" : tensor<3x2xui8>)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<2x3xui8>) -> ("y") {
    %k = onnx.initializer "k" = dense<0.1> : tensor<f32>
    %o = onnx.initializer "o" = dense<0.2> : tensor<f32>
    %z = onnx.initializer "z" = dense<3> : tensor<ui8>
    %d = onnx.node "DequantizeLinear"(%q, %k, %z) : (tensor<2x3xui8>, tensor<f32>, tensor<ui8>) -> ("d" : tensor<2x3xf32>)
    %m = onnx.node "Transpose"(%d) {perm = array<i64: 1, 0>} : (tensor<2x3xf32>) -> ("m" : tensor<3x2xf32>)
    %y = onnx.node "QuantizeLinear"(%m, %k, %z) : (tensor<3x2xf32>, tensor<f32>, tensor<ui8>) -> ("y" : tensor<3x2xui8>)
    onnx.return %y : tensor<3x2xui8>
  }
}

// -----

// Another step rounds.
// CHECK-LABEL: onnx.graph
// CHECK: "DequantizeLinear"
// CHECK: "Transpose"
// CHECK: "QuantizeLinear"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<2x3xui8>) -> ("y") {
    %k = onnx.initializer "k" = dense<0.1> : tensor<f32>
    %o = onnx.initializer "o" = dense<0.2> : tensor<f32>
    %z = onnx.initializer "z" = dense<3> : tensor<ui8>
    %d = onnx.node "DequantizeLinear"(%q, %k, %z) : (tensor<2x3xui8>, tensor<f32>, tensor<ui8>) -> ("d" : tensor<2x3xf32>)
    %m = onnx.node "Transpose"(%d) {perm = array<i64: 1, 0>} : (tensor<2x3xf32>) -> ("m" : tensor<3x2xf32>)
    %y = onnx.node "QuantizeLinear"(%m, %o, %z) : (tensor<3x2xf32>, tensor<f32>, tensor<ui8>) -> ("y" : tensor<3x2xui8>)
    onnx.return %y : tensor<3x2xui8>
  }
}

// -----

// Something else wants the numbers.
// CHECK-LABEL: onnx.graph
// CHECK: "DequantizeLinear"
// CHECK: "Transpose"(%d)
// CHECK: "QuantizeLinear"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<2x3xui8>) -> ("y", "d") {
    %k = onnx.initializer "k" = dense<0.1> : tensor<f32>
    %o = onnx.initializer "o" = dense<0.2> : tensor<f32>
    %z = onnx.initializer "z" = dense<3> : tensor<ui8>
    %d = onnx.node "DequantizeLinear"(%q, %k, %z) : (tensor<2x3xui8>, tensor<f32>, tensor<ui8>) -> ("d" : tensor<2x3xf32>)
    %m = onnx.node "Transpose"(%d) {perm = array<i64: 1, 0>} : (tensor<2x3xf32>) -> ("m" : tensor<3x2xf32>)
    %y = onnx.node "QuantizeLinear"(%m, %k, %z) : (tensor<3x2xf32>, tensor<f32>, tensor<ui8>) -> ("y" : tensor<3x2xui8>)
    onnx.return %y, %d : tensor<3x2xui8>, tensor<2x3xf32>
  }
}

// -----

// What is put around bytes is their zero.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Pad"(%q, %p, %z) : (tensor<3xui8>, tensor<2xi64>, tensor<ui8>) -> ("y" : tensor<5xui8>)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<3xui8>) -> ("y") {
    %k = onnx.initializer "k" = dense<0.1> : tensor<f32>
    %z = onnx.initializer "z" = dense<3> : tensor<ui8>
    %p = onnx.initializer "p" = dense<1> : tensor<2xi64>
    %d = onnx.node "DequantizeLinear"(%q, %k, %z) : (tensor<3xui8>, tensor<f32>, tensor<ui8>) -> ("d" : tensor<3xf32>)
    %m = onnx.node "Pad"(%d, %p) : (tensor<3xf32>, tensor<2xi64>) -> ("m" : tensor<5xf32>)
    %y = onnx.node "QuantizeLinear"(%m, %k, %z) : (tensor<5xf32>, tensor<f32>, tensor<ui8>) -> ("y" : tensor<5xui8>)
    onnx.return %y : tensor<5xui8>
  }
}

// -----

// Parts of another step are no integers of one.
// CHECK-LABEL: onnx.graph
// CHECK: "Concat"(%d, %e)
// CHECK: "QuantizeLinear"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<2xui8>, %r "r" : tensor<2xui8>) -> ("y") {
    %k = onnx.initializer "k" = dense<0.1> : tensor<f32>
    %o = onnx.initializer "o" = dense<0.2> : tensor<f32>
    %z = onnx.initializer "z" = dense<3> : tensor<ui8>
    %d = onnx.node "DequantizeLinear"(%q, %k, %z) : (tensor<2xui8>, tensor<f32>, tensor<ui8>) -> ("d" : tensor<2xf32>)
    %e = onnx.node "DequantizeLinear"(%r, %o, %z) : (tensor<2xui8>, tensor<f32>, tensor<ui8>) -> ("e" : tensor<2xf32>)
    %m = onnx.node "Concat"(%d, %e) {axis = 0 : i64} : (tensor<2xf32>, tensor<2xf32>) -> ("m" : tensor<4xf32>)
    %y = onnx.node "QuantizeLinear"(%m, %k, %z) : (tensor<4xf32>, tensor<f32>, tensor<ui8>) -> ("y" : tensor<4xui8>)
    onnx.return %y : tensor<4xui8>
  }
}
