// RUN: dlc-opt --split-input-file --dlc-remove-identities %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK-NEXT: %[[Y:.*]] = onnx.node "Relu"(%x)
// CHECK-NEXT: onnx.return %[[Y]]
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %one = onnx.initializer "one" = dense<1.0> : tensor<f32>
    %a = onnx.node "Identity"(%x) : (tensor<2x4xf32>) -> ("a" : tensor<2x4xf32>)
    %b = onnx.node "Mul"(%a, %one) : (tensor<2x4xf32>, tensor<f32>) -> ("b" : tensor<2x4xf32>)
    %c = onnx.node "Dropout"(%b) : (tensor<2x4xf32>) -> ("c" : tensor<2x4xf32>)
    %y = onnx.node "Relu"(%c) : (tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// Shapes that come back to what they were.
// CHECK-LABEL: onnx.graph
// CHECK-NEXT: %[[Y:.*]] = onnx.node "Relu"(%x)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %s = onnx.initializer "s" = dense<[2, 2, 2]> : tensor<3xi64>
    %a = onnx.node "Reshape"(%x, %s) : (tensor<2x4xf32>, tensor<3xi64>) -> ("a" : tensor<2x2x2xf32>)
    %b = onnx.node "Flatten"(%a) : (tensor<2x2x2xf32>) -> ("b" : tensor<2x4xf32>)
    %y = onnx.node "Relu"(%b) : (tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// A factor of one that makes the tensor larger, a slice that turns it round, and
// a cast that loses digits on its way.
// CHECK-LABEL: onnx.graph
// CHECK: "Mul"
// CHECK: "Slice"
// CHECK: "Cast"
// CHECK: "Cast"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("a", "d") {
    %one = onnx.initializer "one" = dense<1.0> : tensor<3x2x4xf32>
    %a = onnx.node "Mul"(%x, %one) : (tensor<2x4xf32>, tensor<3x2x4xf32>) -> ("a" : tensor<3x2x4xf32>)
    %m = onnx.initializer "m" = dense<[-1]> : tensor<1xi64>
    %e = onnx.initializer "e" = dense<[-9]> : tensor<1xi64>
    %ax = onnx.initializer "ax" = dense<[1]> : tensor<1xi64>
    %b = onnx.node "Slice"(%x, %m, %e, %ax, %m) : (tensor<2x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("b" : tensor<2x4xf32>)
    %c = onnx.node "Cast"(%b) {to = 10 : i64} : (tensor<2x4xf32>) -> ("c" : tensor<2x4xf16>)
    %d = onnx.node "Cast"(%c) {to = 1 : i64} : (tensor<2x4xf16>) -> ("d" : tensor<2x4xf32>)
    onnx.return %a, %d : tensor<3x2x4xf32>, tensor<2x4xf32>
  }
}
