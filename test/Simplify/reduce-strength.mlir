// RUN: dlc-opt --split-input-file --dlc-reduce-strength %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "ReduceMean"(%x, %{{.*}}) {keepdims = 0 : i64}
// CHECK-NOT: "Flatten"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %a = onnx.node "GlobalAveragePool"(%x) : (tensor<1x3x8x8xf32>) -> ("a" : tensor<1x3x1x1xf32>)
    %y = onnx.node "Flatten"(%a) : (tensor<1x3x1x1xf32>) -> ("y" : tensor<1x3xf32>)
    onnx.return %y : tensor<1x3xf32>
  }
}

// -----

// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Mul"(%x, %x)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %t = onnx.initializer "t" = dense<2.0> : tensor<f32>
    %y = onnx.node "Pow"(%x, %t) : (tensor<2x4xf32>, tensor<f32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// A power that is no product, and a mean that is used with its axes.
// CHECK-LABEL: onnx.graph
// CHECK: "Pow"
// CHECK: "GlobalAveragePool"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("a", "y") {
    %t = onnx.initializer "t" = dense<2.5> : tensor<f32>
    %b = onnx.node "Pow"(%x, %t) : (tensor<1x3x8x8xf32>, tensor<f32>) -> ("b" : tensor<1x3x8x8xf32>)
    %a = onnx.node "GlobalAveragePool"(%b) : (tensor<1x3x8x8xf32>) -> ("a" : tensor<1x3x1x1xf32>)
    %y = onnx.node "Flatten"(%a) : (tensor<1x3x1x1xf32>) -> ("y" : tensor<1x3xf32>)
    onnx.return %a, %y : tensor<1x3x1x1xf32>, tensor<1x3xf32>
  }
}
