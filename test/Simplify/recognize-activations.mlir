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

// -----

// The form that does not overflow.
// CHECK-LABEL: onnx.graph
// CHECK-NEXT: onnx.node "Softplus"(%x)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %one = onnx.initializer "one" = dense<1.0> : tensor<f32>
    %a = onnx.node "Abs"(%x) : (tensor<2x4xf32>) -> ("a" : tensor<2x4xf32>)
    %b = onnx.node "Neg"(%a) : (tensor<2x4xf32>) -> ("b" : tensor<2x4xf32>)
    %c = onnx.node "Exp"(%b) : (tensor<2x4xf32>) -> ("c" : tensor<2x4xf32>)
    %d = onnx.node "Add"(%c, %one) : (tensor<2x4xf32>, tensor<f32>) -> ("d" : tensor<2x4xf32>)
    %e = onnx.node "Log"(%d) : (tensor<2x4xf32>) -> ("e" : tensor<2x4xf32>)
    %f = onnx.node "Relu"(%x) : (tensor<2x4xf32>) -> ("f" : tensor<2x4xf32>)
    %y = onnx.node "Add"(%f, %e) : (tensor<2x4xf32>, tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// CHECK-LABEL: onnx.graph
// CHECK-NEXT: onnx.node "Softplus"(%x)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %a = onnx.node "Neg"(%x) : (tensor<2x4xf32>) -> ("a" : tensor<2x4xf32>)
    %b = onnx.node "Sigmoid"(%a) : (tensor<2x4xf32>) -> ("b" : tensor<2x4xf32>)
    %c = onnx.node "Log"(%b) : (tensor<2x4xf32>) -> ("c" : tensor<2x4xf32>)
    %y = onnx.node "Neg"(%c) : (tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// As torch writes it, with beta and a threshold.
// CHECK-LABEL: onnx.graph
// CHECK: %[[M:.*]] = onnx.node "Mul"(%x
// CHECK: %[[S:.*]] = onnx.node "Softplus"(%[[M]])
// CHECK: %[[D:.*]] = onnx.node "Div"(%[[S]]
// CHECK-NEXT: onnx.return %[[D]]
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %one = onnx.initializer "one" = dense<1.0> : tensor<f32>
    %beta = onnx.initializer "beta" = dense<2.0> : tensor<f32>
    %t = onnx.initializer "t" = dense<20.0> : tensor<f32>
    %a = onnx.node "Mul"(%x, %beta) : (tensor<2x4xf32>, tensor<f32>) -> ("a" : tensor<2x4xf32>)
    %c = onnx.node "Exp"(%a) : (tensor<2x4xf32>) -> ("c" : tensor<2x4xf32>)
    %d = onnx.node "Add"(%c, %one) : (tensor<2x4xf32>, tensor<f32>) -> ("d" : tensor<2x4xf32>)
    %e = onnx.node "Log"(%d) : (tensor<2x4xf32>) -> ("e" : tensor<2x4xf32>)
    %f = onnx.node "Div"(%e, %beta) : (tensor<2x4xf32>, tensor<f32>) -> ("f" : tensor<2x4xf32>)
    %gt = onnx.node "Greater"(%a, %t) : (tensor<2x4xf32>, tensor<f32>) -> ("gt" : tensor<2x4xi1>)
    %y = onnx.node "Where"(%gt, %x, %f) : (tensor<2x4xi1>, tensor<2x4xf32>, tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// Above 5 it is not x yet.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Softplus"
// CHECK: onnx.node "Where"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %one = onnx.initializer "one" = dense<1.0> : tensor<f32>
    %beta = onnx.initializer "beta" = dense<2.0> : tensor<f32>
    %t = onnx.initializer "t" = dense<5.0> : tensor<f32>
    %a = onnx.node "Mul"(%x, %beta) : (tensor<2x4xf32>, tensor<f32>) -> ("a" : tensor<2x4xf32>)
    %c = onnx.node "Exp"(%a) : (tensor<2x4xf32>) -> ("c" : tensor<2x4xf32>)
    %d = onnx.node "Add"(%c, %one) : (tensor<2x4xf32>, tensor<f32>) -> ("d" : tensor<2x4xf32>)
    %e = onnx.node "Log"(%d) : (tensor<2x4xf32>) -> ("e" : tensor<2x4xf32>)
    %f = onnx.node "Div"(%e, %beta) : (tensor<2x4xf32>, tensor<f32>) -> ("f" : tensor<2x4xf32>)
    %gt = onnx.node "Greater"(%a, %t) : (tensor<2x4xf32>, tensor<f32>) -> ("gt" : tensor<2x4xi1>)
    %y = onnx.node "Where"(%gt, %x, %f) : (tensor<2x4xi1>, tensor<2x4xf32>, tensor<2x4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}
