// RUN: dlc-opt --split-input-file --dlc-recognize-activations %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK-NEXT: %[[Y:.*]] = onnx.node "Gelu"(%x)
// CHECK-NEXT: onnx.return %[[Y]]
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %r = onnx.initializer "r" = dense<1.41421356> : tensor<f32>
    %one = onnx.initializer "one" = dense<1.0> : tensor<f32>
    %h = onnx.initializer "h" = dense<0.5> : tensor<f32>
    %a = onnx.node "Div"(%x, %r) : (tensor<2x4xf32>, tensor<f32>) -> ("a" : tensor<2x4xf32>)
    %b = onnx.node "Erf"(%a) : (tensor<2x4xf32>) -> ("b" : tensor<2x4xf32>)
    %c = onnx.node "Add"(%b, %one) : (tensor<2x4xf32>, tensor<f32>) -> ("c" : tensor<2x4xf32>)
    %d = onnx.node "Mul"(%x, %c) : (tensor<2x4xf32>, tensor<2x4xf32>) -> ("d" : tensor<2x4xf32>)
    %y = onnx.node "Mul"(%d, %h) : (tensor<2x4xf32>, tensor<f32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// Another constant, another function.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "Gelu"
// CHECK: "Erf"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %r = onnx.initializer "r" = dense<1.5> : tensor<f32>
    %one = onnx.initializer "one" = dense<1.0> : tensor<f32>
    %h = onnx.initializer "h" = dense<0.5> : tensor<f32>
    %a = onnx.node "Div"(%x, %r) : (tensor<2x4xf32>, tensor<f32>) -> ("a" : tensor<2x4xf32>)
    %b = onnx.node "Erf"(%a) : (tensor<2x4xf32>) -> ("b" : tensor<2x4xf32>)
    %c = onnx.node "Add"(%b, %one) : (tensor<2x4xf32>, tensor<f32>) -> ("c" : tensor<2x4xf32>)
    %d = onnx.node "Mul"(%x, %c) : (tensor<2x4xf32>, tensor<2x4xf32>) -> ("d" : tensor<2x4xf32>)
    %y = onnx.node "Mul"(%d, %h) : (tensor<2x4xf32>, tensor<f32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// CHECK-LABEL: onnx.graph
// CHECK-NEXT: onnx.node "Softplus"(%x)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %one = onnx.initializer "one" = dense<1.0> : tensor<f32>
    %a = onnx.node "Exp"(%x) : (tensor<2x4xf32>) -> ("a" : tensor<2x4xf32>)
    %b = onnx.node "Add"(%a, %one) : (tensor<2x4xf32>, tensor<f32>) -> ("b" : tensor<2x4xf32>)
    %y = onnx.node "Log"(%b) : (tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// CHECK-LABEL: onnx.graph
// CHECK-NEXT: onnx.node "Swish"(%x) {alpha = 1.000000e+00 : f32}
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %a = onnx.node "Sigmoid"(%x) : (tensor<2x4xf32>) -> ("a" : tensor<2x4xf32>)
    %y = onnx.node "Mul"(%x, %a) : (tensor<2x4xf32>, tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}
