// RUN: dlc-opt --split-input-file --dlc-multiply-out %s | FileCheck %s

// Two products, and a bias between them.
// CHECK-LABEL: onnx.graph
// CHECK: %[[W:.*]] = onnx.node "MatMul"(%u, %v)
// CHECK: onnx.node "Gemm"(%x, %[[W]], %{{.*}})
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<3x8xf32>) -> ("y") {
    %u = onnx.initializer "u" = dense<0.5> : tensor<8x8xf32>
    %b = onnx.initializer "b" = dense<0.5> : tensor<8xf32>
    %v = onnx.initializer "v" = dense<0.5> : tensor<8x4xf32>
    %a = onnx.node "Gemm"(%x, %u, %b) : (tensor<3x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> ("a" : tensor<3x8xf32>)
    %y = onnx.node "MatMul"(%a, %v) : (tensor<3x8xf32>, tensor<8x4xf32>) -> ("y" : tensor<3x4xf32>)
    onnx.return %y : tensor<3x4xf32>
  }
}

// -----

// Of low rank: apart they are less work.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "MatMul"(%x, %u)
// CHECK: onnx.node "MatMul"(%a, %v)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<3x8xf32>) -> ("y") {
    %u = onnx.initializer "u" = dense<0.5> : tensor<8x2xf32>
    %v = onnx.initializer "v" = dense<0.5> : tensor<2x8xf32>
    %a = onnx.node "MatMul"(%x, %u) : (tensor<3x8xf32>, tensor<8x2xf32>) -> ("a" : tensor<3x2xf32>)
    %y = onnx.node "MatMul"(%a, %v) : (tensor<3x2xf32>, tensor<2x8xf32>) -> ("y" : tensor<3x8xf32>)
    onnx.return %y : tensor<3x8xf32>
  }
}

// -----

// Something else uses what is between them.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "MatMul"(%x, %u)
// CHECK: onnx.node "MatMul"(%a, %v)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<3x8xf32>) -> ("y", "a") {
    %u = onnx.initializer "u" = dense<0.5> : tensor<8x8xf32>
    %v = onnx.initializer "v" = dense<0.5> : tensor<8x4xf32>
    %a = onnx.node "MatMul"(%x, %u) : (tensor<3x8xf32>, tensor<8x8xf32>) -> ("a" : tensor<3x8xf32>)
    %y = onnx.node "MatMul"(%a, %v) : (tensor<3x8xf32>, tensor<8x4xf32>) -> ("y" : tensor<3x4xf32>)
    onnx.return %y, %a : tensor<3x4xf32>, tensor<3x8xf32>
  }
}
