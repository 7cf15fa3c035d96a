// RUN: dlc-opt --split-input-file --dlc-fold-constants %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: %[[W:.*]] = onnx.initializer "t" = dense<{{\[\[}}1.000000e+00, 3.000000e+00], [2.000000e+00, 4.000000e+00]]>
// CHECK-NOT: "Transpose"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x2xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
    %t = onnx.node "Transpose"(%w) {perm = array<i64: 1, 0>} : (tensor<2x2xf32>) -> ("t" : tensor<2x2xf32>)
    %y = onnx.node "MatMul"(%x, %t) : (tensor<2x2xf32>, tensor<2x2xf32>) -> ("y" : tensor<2x2xf32>)
    onnx.return %y : tensor<2x2xf32>
  }
}

// -----

// A large tensor made of a small one stays an instruction.
// CHECK-LABEL: onnx.graph
// CHECK: "Expand"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1024x1024xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<1.0> : tensor<1x1xf32>
    %s = onnx.initializer "s" = dense<[1024, 1024]> : tensor<2xi64>
    %t = onnx.node "Expand"(%w, %s) : (tensor<1x1xf32>, tensor<2xi64>) -> ("t" : tensor<1024x1024xf32>)
    %y = onnx.node "MatMul"(%x, %t) : (tensor<1024x1024xf32>, tensor<1024x1024xf32>) -> ("y" : tensor<1024x1024xf32>)
    onnx.return %y : tensor<1024x1024xf32>
  }
}

// -----

// Quantized weights stay integers.
// CHECK-LABEL: onnx.graph
// CHECK: "DequantizeLinear"(%w, %s)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x2xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<[[1, 2], [3, 4]]> : tensor<2x2xi8>
    %s = onnx.initializer "s" = dense<0.5> : tensor<f32>
    %d = onnx.node "DequantizeLinear"(%w, %s) : (tensor<2x2xi8>, tensor<f32>) -> ("d" : tensor<2x2xf32>)
    %y = onnx.node "MatMul"(%x, %d) : (tensor<2x2xf32>, tensor<2x2xf32>) -> ("y" : tensor<2x2xf32>)
    onnx.return %y : tensor<2x2xf32>
  }
}
