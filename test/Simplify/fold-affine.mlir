// RUN: dlc-opt --split-input-file --dlc-fold-affine %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK-NOT: "BatchNormalization"
// CHECK: %[[Y:.*]] = onnx.node "Conv"(%x, %{{.*}}, %{{.*}}) : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>)
// CHECK: onnx.return %[[Y]]
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<1.0> : tensor<4x3x3x3xf32>
    %s = onnx.initializer "s" = dense<2.0> : tensor<4xf32>
    %b = onnx.initializer "b" = dense<1.0> : tensor<4xf32>
    %m = onnx.initializer "m" = dense<0.5> : tensor<4xf32>
    %v = onnx.initializer "v" = dense<4.0> : tensor<4xf32>
    %a = onnx.node "Conv"(%x, %w) : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> ("a" : tensor<1x4x6x6xf32>)
    %y = onnx.node "BatchNormalization"(%a, %s, %b, %m, %v) : (tensor<1x4x6x6xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> ("y" : tensor<1x4x6x6xf32>)
    onnx.return %y : tensor<1x4x6x6xf32>
  }
}

// -----

// The convolution is used otherwise, too.
// CHECK-LABEL: onnx.graph
// CHECK: "Conv"(%x, %w)
// CHECK: "Mul"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("a", "y") {
    %w = onnx.initializer "w" = dense<1.0> : tensor<4x3x3x3xf32>
    %s = onnx.initializer "s" = dense<2.0> : tensor<4x1x1xf32>
    %a = onnx.node "Conv"(%x, %w) : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> ("a" : tensor<1x4x6x6xf32>)
    %y = onnx.node "Mul"(%a, %s) : (tensor<1x4x6x6xf32>, tensor<4x1x1xf32>) -> ("y" : tensor<1x4x6x6xf32>)
    onnx.return %a, %y : tensor<1x4x6x6xf32>, tensor<1x4x6x6xf32>
  }
}

// -----

// Padding is 0, not what a shift makes of 0.
// CHECK-LABEL: onnx.graph
// CHECK: "Add"(%x, %s)
// CHECK: "Conv"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<1.0> : tensor<4x3x3x3xf32>
    %s = onnx.initializer "s" = dense<2.0> : tensor<3x1x1xf32>
    %a = onnx.node "Add"(%x, %s) : (tensor<1x3x8x8xf32>, tensor<3x1x1xf32>) -> ("a" : tensor<1x3x8x8xf32>)
    %y = onnx.node "Conv"(%a, %w) {pads = array<i64: 1, 1, 1, 1>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> ("y" : tensor<1x4x8x8xf32>)
    onnx.return %y : tensor<1x4x8x8xf32>
  }
}

// -----

// A scale along rows is none of channels.
// CHECK-LABEL: onnx.graph
// CHECK: "Conv"(%x, %w)
// CHECK: "Mul"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<1.0> : tensor<4x3x3x3xf32>
    %s = onnx.initializer "s" = dense<2.0> : tensor<6x1xf32>
    %a = onnx.node "Conv"(%x, %w) : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> ("a" : tensor<1x4x6x6xf32>)
    %y = onnx.node "Mul"(%a, %s) : (tensor<1x4x6x6xf32>, tensor<6x1xf32>) -> ("y" : tensor<1x4x6x6xf32>)
    onnx.return %y : tensor<1x4x6x6xf32>
  }
}

// -----

// A scale above 0 goes through Relu, into the weights.
// CHECK-LABEL: onnx.graph
// CHECK: %[[C:.*]] = onnx.node "Conv"(%x, %{{.*}})
// CHECK: onnx.node "Relu"(%[[C]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<2x3x1x1xf32>
    %k = onnx.initializer "k" = dense<[[[2.0]], [[3.0]]]> : tensor<2x1x1xf32>
    %c = onnx.node "Conv"(%x, %w) : (tensor<1x3x8x8xf32>, tensor<2x3x1x1xf32>) -> ("c" : tensor<1x2x8x8xf32>)
    %r = onnx.node "Relu"(%c) : (tensor<1x2x8x8xf32>) -> ("r" : tensor<1x2x8x8xf32>)
    %y = onnx.node "Mul"(%r, %k) : (tensor<1x2x8x8xf32>, tensor<2x1x1xf32>) -> ("y" : tensor<1x2x8x8xf32>)
    onnx.return %y : tensor<1x2x8x8xf32>
  }
}

// -----

// One below 0 does not.
// CHECK-LABEL: onnx.graph
// CHECK: %[[R:.*]] = onnx.node "Relu"
// CHECK: onnx.node "Mul"(%[[R]], %k)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<2x3x1x1xf32>
    %k = onnx.initializer "k" = dense<[[[2.0]], [[-3.0]]]> : tensor<2x1x1xf32>
    %c = onnx.node "Conv"(%x, %w) : (tensor<1x3x8x8xf32>, tensor<2x3x1x1xf32>) -> ("c" : tensor<1x2x8x8xf32>)
    %r = onnx.node "Relu"(%c) : (tensor<1x2x8x8xf32>) -> ("r" : tensor<1x2x8x8xf32>)
    %y = onnx.node "Mul"(%r, %k) : (tensor<1x2x8x8xf32>, tensor<2x1x1xf32>) -> ("y" : tensor<1x2x8x8xf32>)
    onnx.return %y : tensor<1x2x8x8xf32>
  }
}

// -----

// A product that a loop uses stays in front of it.
// CHECK-LABEL: onnx.graph
// CHECK: "MatMul"
// CHECK: "Loop"
// CHECK-NOT: "Gemm"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%n "n" : tensor<i64>, %m "m" : tensor<4x4xf32>, %s "s" : tensor<4x4xf32>) -> ("y") {
    %none = onnx.none : none
    %p = onnx.node "MatMul"(%m, %m) : (tensor<4x4xf32>, tensor<4x4xf32>) -> ("p" : tensor<4x4xf32>)
    %y = onnx.node "Loop"(%n, %none, %s) : (tensor<i64>, none, tensor<4x4xf32>) -> ("y" : tensor<4x4xf32>)
      graph body = "b" (%i "i" : tensor<i64>, %d "d" : tensor<i1>, %t "t" : tensor<4x4xf32>) -> ("d1", "u") {
        %d1 = onnx.node "Identity"(%d) : (tensor<i1>) -> ("d1" : tensor<i1>)
        %u = onnx.node "Add"(%t, %p) : (tensor<4x4xf32>, tensor<4x4xf32>) -> ("u" : tensor<4x4xf32>)
        onnx.return %d1, %u : tensor<i1>, tensor<4x4xf32>
      }
    onnx.return %y : tensor<4x4xf32>
  }
}

// -----

// A pool looks along what are the channels of a product.
// CHECK-LABEL: onnx.graph
// CHECK: "MatMul"
// CHECK-NEXT: "MaxPool"
// CHECK-NEXT: "Mul"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x2x4xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<1.5> : tensor<4x3xf32>
    %s = onnx.initializer "s" = dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
    %a = onnx.node "MatMul"(%x, %w) : (tensor<1x2x4xf32>, tensor<4x3xf32>) -> ("a" : tensor<1x2x3xf32>)
    %b = onnx.node "MaxPool"(%a) {kernel_shape = array<i64: 3>, pads = array<i64: 1, 1>} : (tensor<1x2x3xf32>) -> ("b" : tensor<1x2x3xf32>)
    %y = onnx.node "Mul"(%b, %s) : (tensor<1x2x3xf32>, tensor<3xf32>) -> ("y" : tensor<1x2x3xf32>)
    onnx.return %y : tensor<1x2x3xf32>
  }
}
