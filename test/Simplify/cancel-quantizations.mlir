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
