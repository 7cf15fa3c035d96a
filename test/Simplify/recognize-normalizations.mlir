// RUN: dlc-opt --split-input-file --dlc-recognize-normalizations %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: %[[Y:.*]] = onnx.node "LayerNormalization"(%x, %g, %bb) {axis = -1 : i64, epsilon = {{.*}} : f32}
// CHECK-NEXT: onnx.return %[[Y]]
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %ax = onnx.initializer "ax" = dense<[-1]> : tensor<1xi64>
    %two = onnx.initializer "two" = dense<2.0> : tensor<f32>
    %e = onnx.initializer "e" = dense<1.0e-5> : tensor<f32>
    %g = onnx.initializer "g" = dense<2.0> : tensor<4xf32>
    %bb = onnx.initializer "bb" = dense<1.0> : tensor<4xf32>
    %m = onnx.node "ReduceMean"(%x, %ax) : (tensor<2x4xf32>, tensor<1xi64>) -> ("m" : tensor<2x1xf32>)
    %d = onnx.node "Sub"(%x, %m) : (tensor<2x4xf32>, tensor<2x1xf32>) -> ("d" : tensor<2x4xf32>)
    %q = onnx.node "Pow"(%d, %two) : (tensor<2x4xf32>, tensor<f32>) -> ("q" : tensor<2x4xf32>)
    %v = onnx.node "ReduceMean"(%q, %ax) : (tensor<2x4xf32>, tensor<1xi64>) -> ("v" : tensor<2x1xf32>)
    %w = onnx.node "Add"(%v, %e) : (tensor<2x1xf32>, tensor<f32>) -> ("w" : tensor<2x1xf32>)
    %s = onnx.node "Sqrt"(%w) : (tensor<2x1xf32>) -> ("s" : tensor<2x1xf32>)
    %n = onnx.node "Div"(%d, %s) : (tensor<2x4xf32>, tensor<2x1xf32>) -> ("n" : tensor<2x4xf32>)
    %k = onnx.node "Mul"(%n, %g) : (tensor<2x4xf32>, tensor<4xf32>) -> ("k" : tensor<2x4xf32>)
    %y = onnx.node "Add"(%k, %bb) : (tensor<2x4xf32>, tensor<4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// A mean over other axes than the last.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "LayerNormalization"
// CHECK: "Div"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %ax = onnx.initializer "ax" = dense<[0]> : tensor<1xi64>
    %two = onnx.initializer "two" = dense<2.0> : tensor<f32>
    %e = onnx.initializer "e" = dense<1.0e-5> : tensor<f32>
    %g = onnx.initializer "g" = dense<2.0> : tensor<4xf32>
    %bb = onnx.initializer "bb" = dense<1.0> : tensor<4xf32>
    %m = onnx.node "ReduceMean"(%x, %ax) : (tensor<2x4xf32>, tensor<1xi64>) -> ("m" : tensor<1x4xf32>)
    %d = onnx.node "Sub"(%x, %m) : (tensor<2x4xf32>, tensor<1x4xf32>) -> ("d" : tensor<2x4xf32>)
    %q = onnx.node "Pow"(%d, %two) : (tensor<2x4xf32>, tensor<f32>) -> ("q" : tensor<2x4xf32>)
    %v = onnx.node "ReduceMean"(%q, %ax) : (tensor<2x4xf32>, tensor<1xi64>) -> ("v" : tensor<1x4xf32>)
    %w = onnx.node "Add"(%v, %e) : (tensor<1x4xf32>, tensor<f32>) -> ("w" : tensor<1x4xf32>)
    %s = onnx.node "Sqrt"(%w) : (tensor<1x4xf32>) -> ("s" : tensor<1x4xf32>)
    %n = onnx.node "Div"(%d, %s) : (tensor<2x4xf32>, tensor<1x4xf32>) -> ("n" : tensor<2x4xf32>)
    %k = onnx.node "Mul"(%n, %g) : (tensor<2x4xf32>, tensor<4xf32>) -> ("k" : tensor<2x4xf32>)
    %y = onnx.node "Add"(%k, %bb) : (tensor<2x4xf32>, tensor<4xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}

// -----

// The mean of squares less the square of the mean, and the scale in the factor.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "LayerNormalization"(%x, %g, %b) {axis = -1 : i64
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x8xf32>, %o "o" : tensor<2x1xf32>) -> ("y") {
    %ax = onnx.initializer "ax" = dense<-1> : tensor<1xi64>
    %e = onnx.initializer "e" = dense<1.0e-5> : tensor<f32>
    %g = onnx.initializer "g" = dense<2.0> : tensor<8xf32>
    %b = onnx.initializer "b" = dense<3.0> : tensor<8xf32>
    %m = onnx.node "ReduceMean"(%x, %ax) : (tensor<2x8xf32>, tensor<1xi64>) -> ("m" : tensor<2x1xf32>)
    %q = onnx.node "Mul"(%x, %x) : (tensor<2x8xf32>, tensor<2x8xf32>) -> ("q" : tensor<2x8xf32>)
    %s = onnx.node "ReduceMean"(%q, %ax) : (tensor<2x8xf32>, tensor<1xi64>) -> ("s" : tensor<2x1xf32>)
    %n = onnx.node "Mul"(%m, %m) : (tensor<2x1xf32>, tensor<2x1xf32>) -> ("n" : tensor<2x1xf32>)
    %v = onnx.node "Sub"(%s, %n) : (tensor<2x1xf32>, tensor<2x1xf32>) -> ("v" : tensor<2x1xf32>)
    %w = onnx.node "Add"(%v, %e) : (tensor<2x1xf32>, tensor<f32>) -> ("w" : tensor<2x1xf32>)
    %r = onnx.node "Sqrt"(%w) : (tensor<2x1xf32>) -> ("r" : tensor<2x1xf32>)
    %i = onnx.node "Reciprocal"(%r) : (tensor<2x1xf32>) -> ("i" : tensor<2x1xf32>)
    %k = onnx.node "Mul"(%i, %g) : (tensor<2x1xf32>, tensor<8xf32>) -> ("k" : tensor<2x8xf32>)
    %d = onnx.node "Sub"(%x, %m) : (tensor<2x8xf32>, tensor<2x1xf32>) -> ("d" : tensor<2x8xf32>)
    %t = onnx.node "Mul"(%d, %k) : (tensor<2x8xf32>, tensor<2x8xf32>) -> ("t" : tensor<2x8xf32>)
    %y = onnx.node "Add"(%t, %b) : (tensor<2x8xf32>, tensor<8xf32>) -> ("y" : tensor<2x8xf32>)
    onnx.return %y : tensor<2x8xf32>
  }
}

// -----

// Less the square of something else.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "LayerNormalization"
// CHECK: "Sqrt"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x8xf32>, %o "o" : tensor<2x1xf32>) -> ("y") {
    %ax = onnx.initializer "ax" = dense<-1> : tensor<1xi64>
    %e = onnx.initializer "e" = dense<1.0e-5> : tensor<f32>
    %g = onnx.initializer "g" = dense<2.0> : tensor<8xf32>
    %b = onnx.initializer "b" = dense<3.0> : tensor<8xf32>
    %m = onnx.node "ReduceMean"(%x, %ax) : (tensor<2x8xf32>, tensor<1xi64>) -> ("m" : tensor<2x1xf32>)
    %q = onnx.node "Mul"(%x, %x) : (tensor<2x8xf32>, tensor<2x8xf32>) -> ("q" : tensor<2x8xf32>)
    %s = onnx.node "ReduceMean"(%q, %ax) : (tensor<2x8xf32>, tensor<1xi64>) -> ("s" : tensor<2x1xf32>)
    %n = onnx.node "Mul"(%o, %o) : (tensor<2x1xf32>, tensor<2x1xf32>) -> ("n" : tensor<2x1xf32>)
    %v = onnx.node "Sub"(%s, %n) : (tensor<2x1xf32>, tensor<2x1xf32>) -> ("v" : tensor<2x1xf32>)
    %w = onnx.node "Add"(%v, %e) : (tensor<2x1xf32>, tensor<f32>) -> ("w" : tensor<2x1xf32>)
    %r = onnx.node "Sqrt"(%w) : (tensor<2x1xf32>) -> ("r" : tensor<2x1xf32>)
    %i = onnx.node "Reciprocal"(%r) : (tensor<2x1xf32>) -> ("i" : tensor<2x1xf32>)
    %k = onnx.node "Mul"(%i, %g) : (tensor<2x1xf32>, tensor<8xf32>) -> ("k" : tensor<2x8xf32>)
    %d = onnx.node "Sub"(%x, %m) : (tensor<2x8xf32>, tensor<2x1xf32>) -> ("d" : tensor<2x8xf32>)
    %t = onnx.node "Mul"(%d, %k) : (tensor<2x8xf32>, tensor<2x8xf32>) -> ("t" : tensor<2x8xf32>)
    %y = onnx.node "Add"(%t, %b) : (tensor<2x8xf32>, tensor<8xf32>) -> ("y" : tensor<2x8xf32>)
    onnx.return %y : tensor<2x8xf32>
  }
}
