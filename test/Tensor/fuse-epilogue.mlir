// RUN: dlc-opt %s -dlc-fuse-epilogue | FileCheck %s

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (j)>
#one = affine_map<(i, j) -> (0, j)>
#t = affine_map<(i, j) -> (j, i)>

// Bias and ReLU, one after the other.
// CHECK-DAG: #[[N:.*]] = affine_map<(d0, d1, d2) -> (d1)>
// CHECK-DAG: #[[C:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-DAG: #[[ONE:.*]] = affine_map<(d0, d1, d2) -> (0, d1)>
// CHECK-DAG: #[[SWAPPED:.*]] = affine_map<(d0, d1, d2, d3) -> (d1, d0, d2)>
// CHECK-LABEL: @bias_relu
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[W:.*]]: tensor<8x16xf32>, %[[B:.*]]: tensor<16xf32>, %[[E:.*]]: tensor<?x16xf32>
// CHECK: %[[R:.*]] = dlc.contract %[[X]], %[[W]] extras %[[B]] : tensor<16xf32> outs %[[E]] [{{.*}}, {{.*}}, #[[N]], #[[C]]]
// CHECK: ^bb0(%[[S:.*]]: f32, %[[V:.*]]: f32):
// CHECK-DAG: %[[Z:.*]] = arith.constant 0.0
// CHECK-DAG: %[[A:.*]] = arith.addf %[[S]], %[[V]]
// CHECK: %[[M:.*]] = arith.maximumf %[[A]], %[[Z]]
// CHECK: dlc.yield %[[M]]
// CHECK-NOT: linalg.generic
// CHECK: return %[[R]]
func.func @bias_relu(%x: tensor<?x8xf32>, %w: tensor<8x16xf32>, %bias: tensor<16xf32>, %e: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<?x8xf32>, tensor<8x16xf32>, tensor<?x16xf32> -> tensor<?x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0, %bias : tensor<?x16xf32>, tensor<16xf32>) outs(%e : tensor<?x16xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %r = arith.addf %p, %q : f32
    linalg.yield %r : f32
  } -> tensor<?x16xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%1 : tensor<?x16xf32>) outs(%e : tensor<?x16xf32>) {
  ^bb0(%p: f32, %o: f32):
    %r = arith.maximumf %p, %zero : f32
    linalg.yield %r : f32
  } -> tensor<?x16xf32>
  return %2 : tensor<?x16xf32>
}

// Of two contractions that are added, the later one takes the sum.
// CHECK-LABEL: @residual
// CHECK: %[[FIRST:.*]] = dlc.contract %arg0
// CHECK: dlc.contract %arg1, {{.*}} extras %[[FIRST]] : tensor<4x16xf32>
// CHECK-NOT: linalg.generic
func.func @residual(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>, %w: tensor<8x16xf32>, %e: tensor<4x16xf32>) -> tensor<4x16xf32> {
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %y, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0, %1 : tensor<4x16xf32>, tensor<4x16xf32>) outs(%e : tensor<4x16xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %r = arith.addf %p, %q : f32
    linalg.yield %r : f32
  } -> tensor<4x16xf32>
  return %2 : tensor<4x16xf32>
}

// A broadcast along a dimension of size 1, and a scalar that is constant.
// CHECK-LABEL: @broadcast
// CHECK: dlc.contract {{.*}} extras %arg2 : tensor<1x16xf32> outs {{.*}} [{{.*}}, {{.*}}, #[[ONE]], #[[C]]]
// CHECK: arith.constant 3.0
// CHECK-NOT: linalg.generic
func.func @broadcast(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>, %scale: tensor<1x16xf32>, %e: tensor<4x16xf32>) -> tensor<4x16xf32> {
  %three = arith.constant 3.0 : f32
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = linalg.generic {indexing_maps = [#id, #one, affine_map<(i, j) -> ()>, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0, %scale, %three : tensor<4x16xf32>, tensor<1x16xf32>, f32) outs(%e : tensor<4x16xf32>) {
  ^bb0(%p: f32, %q: f32, %t: f32, %o: f32):
    %r = arith.mulf %p, %q : f32
    %u = arith.mulf %r, %t : f32
    linalg.yield %u : f32
  } -> tensor<4x16xf32>
  return %1 : tensor<4x16xf32>
}

// A transposition that keeps the innermost dimension is a layout of C.
// CHECK-LABEL: @split_heads
// CHECK: dlc.contract {{.*}} outs %arg3 [{{.*}}, {{.*}}, #[[SWAPPED]]]
// CHECK-NOT: linalg.transpose
func.func @split_heads(%x: tensor<4x8xf32>, %w: tensor<8x2x16xf32>, %e: tensor<4x2x16xf32>, %f: tensor<2x4x16xf32>) -> tensor<2x4x16xf32> {
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(s, h, d, k) -> (s, k)>, affine_map<(s, h, d, k) -> (k, h, d)>, affine_map<(s, h, d, k) -> (s, h, d)>]
      : tensor<4x8xf32>, tensor<8x2x16xf32>, tensor<4x2x16xf32> -> tensor<4x2x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = linalg.transpose ins(%0 : tensor<4x2x16xf32>) outs(%f : tensor<2x4x16xf32>) permutation = [1, 0, 2]
  return %1 : tensor<2x4x16xf32>
}

// Near misses: a result with two users, a transposition of the innermost
// dimension, a reduction, an op that reads its init, a dynamic scalar.
// CHECK-LABEL: @near_misses
// CHECK: dlc.contract
// CHECK: linalg.generic
// CHECK: dlc.contract
// CHECK: linalg.transpose
// CHECK: dlc.contract
// CHECK: linalg.reduce
// CHECK: dlc.contract
// CHECK: linalg.generic
// CHECK: dlc.contract
// CHECK: linalg.generic
func.func @near_misses(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>, %e: tensor<4x16xf32>, %f: tensor<16x4xf32>, %g: tensor<4xf32>, %scalar: f32)
    -> (tensor<4x16xf32>, tensor<4x16xf32>, tensor<16x4xf32>, tensor<4xf32>, tensor<4x16xf32>, tensor<4x16xf32>) {
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0 : tensor<4x16xf32>) outs(%e : tensor<4x16xf32>) {
  ^bb0(%p: f32, %o: f32):
    %r = arith.negf %p : f32
    linalg.yield %r : f32
  } -> tensor<4x16xf32>
  %2 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %3 = linalg.transpose ins(%2 : tensor<4x16xf32>) outs(%f : tensor<16x4xf32>) permutation = [1, 0]
  %4 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %5 = linalg.reduce { arith.addf } ins(%4 : tensor<4x16xf32>) outs(%g : tensor<4xf32>) dimensions = [1]
  %6 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %7 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%6 : tensor<4x16xf32>) outs(%e : tensor<4x16xf32>) {
  ^bb0(%p: f32, %o: f32):
    %r = arith.addf %p, %o : f32
    linalg.yield %r : f32
  } -> tensor<4x16xf32>
  %8 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %9 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%8 : tensor<4x16xf32>) outs(%e : tensor<4x16xf32>) {
  ^bb0(%p: f32, %o: f32):
    %r = arith.mulf %p, %scalar : f32
    linalg.yield %r : f32
  } -> tensor<4x16xf32>
  return %0, %1, %3, %5, %7, %9 : tensor<4x16xf32>, tensor<4x16xf32>, tensor<16x4xf32>, tensor<4xf32>, tensor<4x16xf32>, tensor<4x16xf32>
}

// The heads of an attention are split before the bias is added.
// CHECK-LABEL: @expanded
// CHECK-SAME: %[[X:.*]]: tensor<5x8xf32>, %[[W:.*]]: tensor<8x16xf32>, %[[B:.*]]: tensor<4x4xf32>
// CHECK: %[[V:.*]] = tensor.collapse_shape %[[B]] {{\[\[}}0, 1]]
// CHECK: %[[R:.*]] = dlc.contract %[[X]], %[[W]] extras %[[V]] : tensor<16xf32> outs
// CHECK: arith.addf
// CHECK-NOT: linalg.generic
// CHECK: %[[E:.*]] = tensor.expand_shape %[[R]] {{\[\[}}0], [1, 2]]
// CHECK: return %[[E]]
func.func @expanded(%x: tensor<5x8xf32>, %w: tensor<8x16xf32>, %bias: tensor<4x4xf32>) -> tensor<5x4x4xf32> {
  %e = tensor.empty() : tensor<5x16xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<5x8xf32>, tensor<8x16xf32>, tensor<5x16xf32> -> tensor<5x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = tensor.expand_shape %0 [[0], [1, 2]] output_shape [5, 4, 4] : tensor<5x16xf32> into tensor<5x4x4xf32>
  %e1 = tensor.empty() : tensor<5x4x4xf32>
  %2 = linalg.generic {indexing_maps = [affine_map<(i, h, j) -> (i, h, j)>, affine_map<(i, h, j) -> (h, j)>,
                                        affine_map<(i, h, j) -> (i, h, j)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%1, %bias : tensor<5x4x4xf32>, tensor<4x4xf32>) outs(%e1 : tensor<5x4x4xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %r = arith.addf %p, %q : f32
    linalg.yield %r : f32
  } -> tensor<5x4x4xf32>
  return %2 : tensor<5x4x4xf32>
}

// A result that others read in the first shape.
// CHECK-LABEL: @expanded_and_read
// CHECK: dlc.contract
// CHECK: tensor.expand_shape
// CHECK: linalg.generic
func.func @expanded_and_read(%x: tensor<5x8xf32>, %w: tensor<8x16xf32>, %bias: tensor<4x4xf32>) -> (tensor<5x4x4xf32>, tensor<5x16xf32>) {
  %e = tensor.empty() : tensor<5x16xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<5x8xf32>, tensor<8x16xf32>, tensor<5x16xf32> -> tensor<5x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = tensor.expand_shape %0 [[0], [1, 2]] output_shape [5, 4, 4] : tensor<5x16xf32> into tensor<5x4x4xf32>
  %e1 = tensor.empty() : tensor<5x4x4xf32>
  %2 = linalg.generic {indexing_maps = [affine_map<(i, h, j) -> (i, h, j)>, affine_map<(i, h, j) -> (h, j)>,
                                        affine_map<(i, h, j) -> (i, h, j)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%1, %bias : tensor<5x4x4xf32>, tensor<4x4xf32>) outs(%e1 : tensor<5x4x4xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %r = arith.addf %p, %q : f32
    linalg.yield %r : f32
  } -> tensor<5x4x4xf32>
  return %2, %0 : tensor<5x4x4xf32>, tensor<5x16xf32>
}
