// RUN: dlc-opt --dlc-sink-transposes --split-input-file %s | FileCheck %s

// Between two image ops everything works on the transposed tensor.
// CHECK-LABEL: @elementwise
// CHECK-NOT: dlc.transpose
// CHECK: %[[T:.*]] = dlc.tanh %arg0
// CHECK: dlc.pool max %[[T]]
func.func @elementwise(%x: tensor<1x8x8x16xf32>) -> tensor<1x4x4x16xf32> {
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<1x8x8x16xf32>
  %1 = dlc.tanh %0 : tensor<1x16x8x8xf32>
  %2 = dlc.transpose %1 [0, 2, 3, 1] : tensor<1x16x8x8xf32>
  %3 = dlc.pool max %2 kernel = [2, 2] strides = [2, 2] dilations = [1, 1] pads = [0, 0, 0, 0] : tensor<1x8x8x16xf32> -> tensor<1x4x4x16xf32>
  return %3 : tensor<1x4x4x16xf32>
}

// -----

// A constant is transposed the other way.
// CHECK-LABEL: @constant
// CHECK: %[[C:.*]] = dlc.transpose {{.*}} [0, 2, 3, 1]
// CHECK: dlc.add %arg0, %[[C]] : tensor<1x2x2x3xf32>, tensor<1x2x1x3xf32>
func.func @constant(%x: tensor<1x2x2x3xf32>) -> tensor<1x3x2x2xf32> {
  %c = dlc.constant dense<[[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], [6.0]]]> : tensor<3x2x1xf32>
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<1x2x2x3xf32>
  %1 = dlc.add %0, %c : tensor<1x3x2x2xf32>, tensor<3x2x1xf32>
  return %1 : tensor<1x3x2x2xf32>
}

// -----

// Two permutations do not meet: nothing moves.
// CHECK-LABEL: @different
// CHECK: dlc.transpose %arg0 [0, 2, 1]
// CHECK: dlc.transpose %arg1 [1, 0, 2]
// CHECK: dlc.add
func.func @different(%x: tensor<4x4x4xf32>, %y: tensor<4x4x4xf32>) -> tensor<4x4x4xf32> {
  %0 = dlc.transpose %x [0, 2, 1] : tensor<4x4x4xf32>
  %1 = dlc.transpose %y [1, 0, 2] : tensor<4x4x4xf32>
  %2 = dlc.add %0, %1 : tensor<4x4x4xf32>, tensor<4x4x4xf32>
  return %2 : tensor<4x4x4xf32>
}

// -----

// CHECK-LABEL: @reduce
// CHECK: dlc.reduce sum %arg0 axes = [1, 2]
// CHECK-SAME: tensor<2x8x8x16xf32>
func.func @reduce(%x: tensor<2x8x8x16xf32>) -> tensor<2x16x1x1xf32> {
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<2x8x8x16xf32>
  %1 = dlc.reduce sum %0 axes = [2, 3] : tensor<2x16x8x8xf32>
  return %1 : tensor<2x16x1x1xf32>
}

// -----

// The factor of each channel is transposed by a reshape; one of each row is not.
// CHECK-LABEL: @channels
// CHECK: %[[S:.*]] = dlc.reshape %arg1{{.*}} to tensor<?x1x1x3xf32>
// CHECK: %[[M:.*]] = dlc.mul %arg0, %[[S]] : tensor<?x4x5x3xf32>, tensor<?x1x1x3xf32>
// CHECK: %[[T:.*]] = dlc.transpose %[[M]] [0, 3, 1, 2]
// CHECK: dlc.add %[[T]], %arg2 : tensor<?x3x4x5xf32>, tensor<1x3x4x1xf32>
func.func @channels(%x: tensor<?x4x5x3xf32>, %s: tensor<?x3x1x1xf32>, %r: tensor<1x3x4x1xf32>) -> tensor<?x3x4x5xf32> {
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<?x4x5x3xf32>
  %1 = dlc.mul %0, %s : tensor<?x3x4x5xf32>, tensor<?x3x1x1xf32>
  %2 = dlc.add %1, %r : tensor<?x3x4x5xf32>, tensor<1x3x4x1xf32>
  return %2 : tensor<?x3x4x5xf32>
}

// -----

// A transpose that moves no element does not sink, or the other operand's
// would next, and so on for ever.
// CHECK-LABEL: @nothing_moves
// CHECK: dlc.select %arg0, %{{.*}}, %{{.*}} : tensor<i1>, tensor<1x8x1x1xf32>, tensor<1x8x1x1xf32>
func.func @nothing_moves(%s: tensor<i1>, %x: tensor<1x1x1x8xf32>, %y: tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32> {
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<1x1x1x8xf32>
  %1 = dlc.select %s, %0, %y : tensor<i1>, tensor<1x8x1x1xf32>, tensor<1x8x1x1xf32>
  return %1 : tensor<1x8x1x1xf32>
}

// -----

// One of two others cannot follow: nothing is made for the first.
// CHECK-LABEL: @stays
// CHECK-NOT: dlc.reshape
// CHECK: dlc.select %arg0, %{{.*}}, %arg2
func.func @stays(%s: tensor<1x1x1x1xi1>, %x: tensor<1x4x5x3xf32>, %y: tensor<1x3x4x5xf32>) -> tensor<1x3x4x5xf32> {
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<1x4x5x3xf32>
  %1 = dlc.select %s, %0, %y : tensor<1x1x1x1xi1>, tensor<1x3x4x5xf32>, tensor<1x3x4x5xf32>
  return %1 : tensor<1x3x4x5xf32>
}

// -----

// The channels of two groups take turns, in either layout.
// CHECK-LABEL: @shuffle
// CHECK: %[[PARTS:.*]] = dlc.reshape %arg0[%arg1] : tensor<?x4x5x6xf32> to tensor<?x4x5x2x3xf32>
// CHECK: %[[SWAP:.*]] = dlc.transpose %[[PARTS]] [0, 1, 2, 4, 3]
// CHECK: %[[WHOLE:.*]] = dlc.reshape %[[SWAP]][%arg1] : tensor<?x4x5x3x2xf32> to tensor<?x4x5x6xf32>
// CHECK: dlc.slice %[[WHOLE]]
// CHECK-NOT: dlc.transpose
func.func @shuffle(%x: tensor<?x4x5x6xf32>, %n: index) -> tensor<?x4x5x3xf32> {
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<?x4x5x6xf32>
  %1 = dlc.reshape %0[%n] : tensor<?x6x4x5xf32> to tensor<?x2x3x4x5xf32>
  %2 = dlc.transpose %1 [0, 2, 1, 3, 4] : tensor<?x2x3x4x5xf32>
  %3 = dlc.reshape %2[%n] : tensor<?x3x2x4x5xf32> to tensor<?x6x4x5xf32>
  %4 = dlc.slice %3 [0, 3, 0, 0] [%n, 3, 4, 5] [1, 1, 1, 1] : tensor<?x6x4x5xf32> to tensor<?x3x4x5xf32>
  %5 = dlc.transpose %4 [0, 2, 3, 1] : tensor<?x3x4x5xf32>
  return %5 : tensor<?x4x5x3xf32>
}

// -----

// The width takes part, too: no shuffle.
// CHECK-LABEL: @no_shuffle
// CHECK: dlc.reshape %{{.*}} : tensor<1x6x4x5xf32> to tensor<1x2x3x4x5xf32>
// CHECK: dlc.transpose %{{.*}} [0, 2, 1, 4, 3]
func.func @no_shuffle(%x: tensor<1x4x5x6xf32>) -> tensor<1x6x5x4xf32> {
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<1x4x5x6xf32>
  %1 = dlc.reshape %0 : tensor<1x6x4x5xf32> to tensor<1x2x3x4x5xf32>
  %2 = dlc.transpose %1 [0, 2, 1, 4, 3] : tensor<1x2x3x4x5xf32>
  %3 = dlc.reshape %2 : tensor<1x3x2x5x4xf32> to tensor<1x6x5x4xf32>
  return %3 : tensor<1x6x5x4xf32>
}

// -----

// Loops that load from it, as those of a Resize.
// CHECK-LABEL: @loops
// CHECK: %[[E:.*]] = tensor.empty(%arg1) : tensor<1x?x5x3xf32>
// CHECK: %[[R:.*]] = linalg.generic {{.*}} outs(%[[E]] : tensor<1x?x5x3xf32>)
// CHECK-DAG: %[[C:.*]] = linalg.index 3
// CHECK-DAG: %[[H:.*]] = linalg.index 1
// CHECK-DAG: %[[W:.*]] = linalg.index 2
// CHECK: %[[HALF:.*]] = arith.divui %[[H]]
// CHECK: tensor.extract %arg0[{{.*}}, %[[HALF]], %[[W]], %[[C]]] : tensor<1x4x5x3xf32>
// CHECK: return %[[R]]
func.func @loops(%x: tensor<1x4x5x3xf32>, %n: index) -> tensor<1x?x5x3xf32> {
  %c2 = arith.constant 2 : index
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<1x4x5x3xf32>
  %1 = tensor.empty(%n) : tensor<1x3x?x5xf32>
  %2 = linalg.generic {indexing_maps = [affine_map<(n, c, h, w) -> (n, c, h, w)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%1 : tensor<1x3x?x5xf32>) {
  ^bb0(%out: f32):
    %i = linalg.index 0 : index
    %c = linalg.index 1 : index
    %h = linalg.index 2 : index
    %w = linalg.index 3 : index
    %half = arith.divui %h, %c2 : index
    %v = tensor.extract %0[%i, %c, %half, %w] : tensor<1x3x4x5xf32>
    linalg.yield %v : f32
  } -> tensor<1x3x?x5xf32>
  %3 = dlc.transpose %2 [0, 2, 3, 1] : tensor<1x3x?x5xf32>
  return %3 : tensor<1x?x5x3xf32>
}

// -----

// A dimension of 1 that is taken out, as behind a one-dimensional convolution.
// CHECK-LABEL: @squeeze
// CHECK: dlc.reshape %arg0[%arg1] : tensor<?x8x1x16xf32> to tensor<?x8x16xf32>
// CHECK: dlc.reduce max %{{.*}} axes = [1]
// CHECK-NOT: dlc.transpose
func.func @squeeze(%x: tensor<?x8x1x16xf32>, %n: index) -> tensor<?x16x1xf32> {
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<?x8x1x16xf32>
  %1 = dlc.reshape %0[%n] : tensor<?x16x8x1xf32> to tensor<?x16x8xf32>
  %2 = dlc.reduce max %1 axes = [2] : tensor<?x16x8xf32>
  return %2 : tensor<?x16x1xf32>
}

// -----

// Loops compute without a sign.
// CHECK-LABEL: @sign
// CHECK: %[[S:.*]] = builtin.unrealized_conversion_cast %arg0 : tensor<1x4x5x3xui8> to tensor<1x4x5x3xi8>
// CHECK: return %[[S]]
func.func @sign(%x: tensor<1x4x5x3xui8>) -> tensor<1x4x5x3xi8> {
  %0 = dlc.transpose %x [0, 3, 1, 2] : tensor<1x4x5x3xui8>
  %1 = builtin.unrealized_conversion_cast %0 : tensor<1x3x4x5xui8> to tensor<1x3x4x5xi8>
  %2 = dlc.transpose %1 [0, 2, 3, 1] : tensor<1x3x4x5xi8>
  return %2 : tensor<1x4x5x3xi8>
}
