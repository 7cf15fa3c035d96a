// RUN: dlc-opt --split-input-file --dlc-swap-pointwise %s | FileCheck %s

// A quarter of the products.
// CHECK-LABEL: onnx.graph
// CHECK: %[[P:.*]] = onnx.node "AveragePool"(%x) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x32x8x8xf32>) -> ("{{.*}}" : tensor<1x32x4x4xf32>)
// CHECK: onnx.node "Conv"(%[[P]], %w, %b) : {{.*}} -> ("y" : tensor<1x16x4x4xf32>)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x32x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<16x32x1x1xf32>
    %b = onnx.initializer "b" = dense<0.5> : tensor<16xf32>
    %c = onnx.node "Conv"(%x, %w, %b) : (tensor<1x32x8x8xf32>, tensor<16x32x1x1xf32>, tensor<16xf32>) -> ("c" : tensor<1x16x8x8xf32>)
    %y = onnx.node "AveragePool"(%c) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x16x8x8xf32>) -> ("y" : tensor<1x16x4x4xf32>)
    onnx.return %y : tensor<1x16x4x4xf32>
  }
}

// -----

// Of unknown sizes, which the strides make smaller.
// CHECK-LABEL: onnx.graph
// CHECK: %[[P:.*]] = onnx.node "AveragePool"(%x)
// CHECK: onnx.node "Conv"(%[[P]], %w)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x32x?x?xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<16x32x1x1xf32>
    %c = onnx.node "Conv"(%x, %w) : (tensor<?x32x?x?xf32>, tensor<16x32x1x1xf32>) -> ("c" : tensor<?x16x?x?xf32>)
    %y = onnx.node "AveragePool"(%c) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<?x16x?x?xf32>) -> ("y" : tensor<?x16x?x?xf32>)
    onnx.return %y : tensor<?x16x?x?xf32>
  }
}

// -----

// One position is left.
// CHECK-LABEL: onnx.graph
// CHECK: %[[P:.*]] = onnx.node "GlobalAveragePool"(%x)
// CHECK: %[[Q:.*]] = onnx.node "Conv"(%[[P]], %w)
// CHECK: %[[R:.*]] = onnx.node "ReduceMean"(%[[Q]], %a)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x32x8x?xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<16x32x1x1xf32>
    %a = onnx.initializer "a" = dense<[-1, 2]> : tensor<2xi64>
    %c = onnx.node "Conv"(%x, %w) : (tensor<1x32x8x?xf32>, tensor<16x32x1x1xf32>) -> ("c" : tensor<1x16x8x?xf32>)
    %g = onnx.node "GlobalAveragePool"(%c) : (tensor<1x16x8x?xf32>) -> ("g" : tensor<1x16x1x1xf32>)
    %y = onnx.node "ReduceMean"(%g, %a) : (tensor<1x16x1x1xf32>, tensor<2xi64>) -> ("y" : tensor<1x16x1x1xf32>)
    onnx.return %y : tensor<1x16x1x1xf32>
  }
}

// -----

// CHECK-LABEL: onnx.graph
// CHECK: %[[P:.*]] = onnx.node "ReduceMean"(%x, %a) {{.*}} -> ("{{.*}}" : tensor<2x32x1x8xf32>)
// CHECK: onnx.node "Conv"(%[[P]], %w)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x32x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<16x32x1x1xf32>
    %a = onnx.initializer "a" = dense<[-2]> : tensor<1xi64>
    %c = onnx.node "Conv"(%x, %w) : (tensor<2x32x8x8xf32>, tensor<16x32x1x1xf32>) -> ("c" : tensor<2x16x8x8xf32>)
    %y = onnx.node "ReduceMean"(%c, %a) : (tensor<2x16x8x8xf32>, tensor<1xi64>) -> ("y" : tensor<2x16x1x8xf32>)
    onnx.return %y : tensor<2x16x1x8xf32>
  }
}

// -----

// Without its axes, or over the channels, a mean is another one.
// CHECK-LABEL: onnx.graph
// CHECK: %[[C:.*]] = onnx.node "Conv"(%x, %w)
// CHECK: onnx.node "ReduceMean"(%[[C]], %a)
// CHECK: %[[D:.*]] = onnx.node "Conv"(%x, %w)
// CHECK: onnx.node "ReduceMean"(%[[D]], %b)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x32x8x8xf32>) -> ("y", "z") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<16x32x1x1xf32>
    %a = onnx.initializer "a" = dense<[2, 3]> : tensor<2xi64>
    %b = onnx.initializer "b" = dense<[1, 2]> : tensor<2xi64>
    %c = onnx.node "Conv"(%x, %w) : (tensor<2x32x8x8xf32>, tensor<16x32x1x1xf32>) -> ("c" : tensor<2x16x8x8xf32>)
    %y = onnx.node "ReduceMean"(%c, %a) {keepdims = 0 : i64} : (tensor<2x16x8x8xf32>, tensor<2xi64>) -> ("y" : tensor<2x16xf32>)
    %d = onnx.node "Conv"(%x, %w) : (tensor<2x32x8x8xf32>, tensor<16x32x1x1xf32>) -> ("d" : tensor<2x16x8x8xf32>)
    %z = onnx.node "ReduceMean"(%d, %b) : (tensor<2x16x8x8xf32>, tensor<2xi64>) -> ("z" : tensor<2x1x1x8xf32>)
    onnx.return %y, %z : tensor<2x16xf32>, tensor<2x1x1x8xf32>
  }
}

// -----

// A pool that keeps the size runs on the fewer channels. The bias stays where
// zeros do not count.
// CHECK-LABEL: onnx.graph
// CHECK: %[[C:.*]] = onnx.node "Conv"(%x, %w, %b) : {{.*}} -> ("{{.*}}" : tensor<1x8x8x8xf32>)
// CHECK: onnx.node "AveragePool"(%[[C]]) {{.*}} -> ("y" : tensor<1x8x8x8xf32>)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x32x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<8x32x1x1xf32>
    %b = onnx.initializer "b" = dense<0.5> : tensor<8xf32>
    %p = onnx.node "AveragePool"(%x) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x32x8x8xf32>) -> ("p" : tensor<1x32x8x8xf32>)
    %y = onnx.node "Conv"(%p, %w, %b) : (tensor<1x32x8x8xf32>, tensor<8x32x1x1xf32>, tensor<8xf32>) -> ("y" : tensor<1x8x8x8xf32>)
    onnx.return %y : tensor<1x8x8x8xf32>
  }
}

// -----

// Where they count, it is added behind the pool.
// CHECK-LABEL: onnx.graph
// CHECK-DAG: %[[C:.*]] = onnx.node "Conv"(%x, %w) :
// CHECK-DAG: %[[P:.*]] = onnx.node "AveragePool"(%[[C]])
// CHECK-DAG: %[[B:.*]] = onnx.node "Reshape"(%b, %{{.*}}) {{.*}} -> ("{{.*}}" : tensor<1x8x1x1xf32>)
// CHECK: onnx.node "Add"(%[[P]], %[[B]]) : {{.*}} -> ("y"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x32x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<8x32x1x1xf32>
    %b = onnx.initializer "b" = dense<0.5> : tensor<8xf32>
    %p = onnx.node "AveragePool"(%x) {count_include_pad = 1 : i64, kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x32x8x8xf32>) -> ("p" : tensor<1x32x8x8xf32>)
    %y = onnx.node "Conv"(%p, %w, %b) : (tensor<1x32x8x8xf32>, tensor<8x32x1x1xf32>, tensor<8xf32>) -> ("y" : tensor<1x8x8x8xf32>)
    onnx.return %y : tensor<1x8x8x8xf32>
  }
}

// -----

// In front of such a pool a bias stays.
// CHECK-LABEL: onnx.graph
// CHECK: %[[C:.*]] = onnx.node "Conv"(%x, %w, %b)
// CHECK: onnx.node "AveragePool"(%[[C]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x32x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<16x32x1x1xf32>
    %b = onnx.initializer "b" = dense<0.5> : tensor<16xf32>
    %c = onnx.node "Conv"(%x, %w, %b) : (tensor<1x32x8x8xf32>, tensor<16x32x1x1xf32>, tensor<16xf32>) -> ("c" : tensor<1x16x8x8xf32>)
    %y = onnx.node "AveragePool"(%c) {count_include_pad = 1 : i64, kernel_shape = array<i64: 2, 2>, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x16x8x8xf32>) -> ("y" : tensor<1x16x5x5xf32>)
    onnx.return %y : tensor<1x16x5x5xf32>
  }
}

// -----

// Larger windows, steps, borders, other users and quantized numbers stay.
// CHECK-LABEL: onnx.graph
// CHECK: %[[A:.*]] = onnx.node "Conv"(%x, %w3)
// CHECK: onnx.node "AveragePool"(%[[A]])
// CHECK: %[[B:.*]] = onnx.node "Conv"(%x, %w) {strides
// CHECK: onnx.node "AveragePool"(%[[B]])
// CHECK: %[[C:.*]] = onnx.node "Conv"(%x, %w) {pads
// CHECK: onnx.node "AveragePool"(%[[C]])
// CHECK: %[[D:.*]] = onnx.node "Conv"(%x, %w) :
// CHECK: onnx.node "AveragePool"(%[[D]])
// CHECK: %[[Q:.*]] = onnx.node "DequantizeLinear"
// CHECK: %[[E:.*]] = onnx.node "Conv"(%[[Q]], %w)
// CHECK: onnx.node "AveragePool"(%[[E]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x32x8x8xf32>, %i "i" : tensor<1x32x8x8xi8>) -> ("a", "b", "c", "c2", "d", "d2", "e") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<16x32x1x1xf32>
    %w3 = onnx.initializer "w3" = dense<0.5> : tensor<16x32x3x3xf32>
    %s = onnx.initializer "s" = dense<0.5> : tensor<f32>
    %0 = onnx.node "Conv"(%x, %w3) : (tensor<1x32x8x8xf32>, tensor<16x32x3x3xf32>) -> ("0" : tensor<1x16x6x6xf32>)
    %a = onnx.node "AveragePool"(%0) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x16x6x6xf32>) -> ("a" : tensor<1x16x3x3xf32>)
    %1 = onnx.node "Conv"(%x, %w) {strides = array<i64: 2, 2>} : (tensor<1x32x8x8xf32>, tensor<16x32x1x1xf32>) -> ("1" : tensor<1x16x4x4xf32>)
    %b = onnx.node "AveragePool"(%1) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x16x4x4xf32>) -> ("b" : tensor<1x16x2x2xf32>)
    %2 = onnx.node "Conv"(%x, %w) {pads = array<i64: 1, 1, 1, 1>} : (tensor<1x32x8x8xf32>, tensor<16x32x1x1xf32>) -> ("2" : tensor<1x16x10x10xf32>)
    %c = onnx.node "AveragePool"(%2) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x16x10x10xf32>) -> ("c" : tensor<1x16x5x5xf32>)
    %3 = onnx.node "Conv"(%x, %w) : (tensor<1x32x8x8xf32>, tensor<16x32x1x1xf32>) -> ("d2" : tensor<1x16x8x8xf32>)
    %d = onnx.node "AveragePool"(%3) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x16x8x8xf32>) -> ("d" : tensor<1x16x4x4xf32>)
    %q = onnx.node "DequantizeLinear"(%i, %s) : (tensor<1x32x8x8xi8>, tensor<f32>) -> ("q" : tensor<1x32x8x8xf32>)
    %4 = onnx.node "Conv"(%q, %w) : (tensor<1x32x8x8xf32>, tensor<16x32x1x1xf32>) -> ("4" : tensor<1x16x8x8xf32>)
    %e = onnx.node "AveragePool"(%4) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x16x8x8xf32>) -> ("e" : tensor<1x16x4x4xf32>)
    onnx.return %a, %b, %c, %2, %d, %3, %e : tensor<1x16x3x3xf32>, tensor<1x16x2x2xf32>, tensor<1x16x5x5xf32>, tensor<1x16x10x10xf32>, tensor<1x16x4x4xf32>, tensor<1x16x8x8xf32>, tensor<1x16x4x4xf32>
  }
}

// -----

// On fewer positions, or fewer channels.
// CHECK-LABEL: onnx.graph
// CHECK: %[[C:.*]] = onnx.node "Conv"(%x, %w)
// CHECK: onnx.node "Resize"(%[[C]], %0, %s)
// CHECK: %[[R:.*]] = onnx.node "Resize"(%x, %0, %0, %{{.*}}) {mode = "nearest"} {{.*}} -> ("{{.*}}" : tensor<1x32x4x4xf32>)
// CHECK: onnx.node "Conv"(%[[R]], %w)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x32x8x8xf32>) -> ("y", "z") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<16x32x1x1xf32>
    %s = onnx.initializer "s" = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>
    %n = onnx.initializer "n" = dense<[1, 16, 4, 4]> : tensor<4xi64>
    %0 = onnx.none : none
    %r = onnx.node "Resize"(%x, %0, %s) {mode = "linear"} : (tensor<1x32x8x8xf32>, none, tensor<4xf32>) -> ("r" : tensor<1x32x16x16xf32>)
    %y = onnx.node "Conv"(%r, %w) : (tensor<1x32x16x16xf32>, tensor<16x32x1x1xf32>) -> ("y" : tensor<1x16x16x16xf32>)
    %c = onnx.node "Conv"(%x, %w) : (tensor<1x32x8x8xf32>, tensor<16x32x1x1xf32>) -> ("c" : tensor<1x16x8x8xf32>)
    %z = onnx.node "Resize"(%c, %0, %0, %n) {mode = "nearest"} : (tensor<1x16x8x8xf32>, none, none, tensor<4xi64>) -> ("z" : tensor<1x16x4x4xf32>)
    onnx.return %y, %z : tensor<1x16x16x16xf32>, tensor<1x16x4x4xf32>
  }
}

// -----

// A window would see other neighbours.
// CHECK-LABEL: onnx.graph
// CHECK: "Resize"
// CHECK: "Conv"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x8x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<6x3x3x3xf32>
    %s = onnx.initializer "s" = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>
    %0 = onnx.none : none
    %r = onnx.node "Resize"(%x, %0, %s) {mode = "linear"} : (tensor<1x3x8x8xf32>, none, tensor<4xf32>) -> ("r" : tensor<1x3x16x16xf32>)
    %y = onnx.node "Conv"(%r, %w) : (tensor<1x3x16x16xf32>, tensor<6x3x3x3xf32>) -> ("y" : tensor<1x6x14x14xf32>)
    onnx.return %y : tensor<1x6x14x14xf32>
  }
}
