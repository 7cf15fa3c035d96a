// RUN: dlc-opt %s -dlc-pack-contract="panel=64 lanes=16" -split-input-file | FileCheck %s

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>

// Constant weights: padded with few zeros, in panels of 64.
// CHECK: #[[PANELS:.*]] = affine_map<(d0, d1, d2) -> (d1 floordiv 64, d2, d1 mod 64)>
// CHECK-LABEL: @padded
// CHECK: %[[P:.*]] = tensor.pad %{{.*}} low[0, 0] high[0, 24]
// CHECK: %[[S:.*]] = tensor.expand_shape %[[P]] {{\[\[}}0], [1, 2]] {{.*}} into tensor<8x16x64xf32>
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[S]] {{.*}} permutation = [1, 0, 2]
// CHECK: dlc.contract %{{.*}}, %[[T]] outs {{.*}} [{{.*}}, #[[PANELS]], {{.*}}]
func.func @padded(%x: tensor<?x8xf32>, %e: tensor<?x1000xf32>) -> tensor<?x1000xf32> {
  %w = arith.constant dense<1.0> : tensor<8x1000xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<?x8xf32>, tensor<8x1000xf32>, tensor<?x1000xf32> -> tensor<?x1000xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<?x1000xf32>
}

// -----

// A width that divides the columns; weights that follow from a constant, laid
// out once for two users.
// CHECK: affine_map<(d0, d1, d2) -> (d1 floordiv 48, d2, d1 mod 48)>
// CHECK-LABEL: @shared
// CHECK-NOT: tensor.pad
// CHECK: %[[T:.*]] = linalg.transpose {{.*}} tensor<3x8x48xf32>
// CHECK-NOT: linalg.transpose
// CHECK: dlc.contract %{{.*}}, %[[T]]
// CHECK: dlc.contract %{{.*}}, %[[T]]
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
func.func @shared(%x: tensor<4x8xf32>, %e: tensor<4x144xf32>) -> (tensor<4x144xf32>, tensor<4x144xf32>) {
  %v = arith.constant dense<1.0> : tensor<8x144xf32>
  %w = math.absf %v : tensor<8x144xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x144xf32>, tensor<4x144xf32> -> tensor<4x144xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x144xf32>, tensor<4x144xf32> -> tensor<4x144xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0, %1 : tensor<4x144xf32>, tensor<4x144xf32>
}

// -----

// A convolution's weights: the window goes on inside a panel.
// CHECK: affine_map<(d0, d1, d2, d3, d4, d5, d6) -> (d3 floordiv 64, d4, d5, d6, d3 mod 64)>
// CHECK-LABEL: @conv
// CHECK: linalg.transpose ins(%{{.*}} : tensor<3x3x16x4x64xf32>) {{.*}} permutation = [3, 0, 1, 2, 4]
func.func @conv(%x: tensor<1x9x9x16xf32>, %e: tensor<1x7x7x256xf32>) -> tensor<1x7x7x256xf32> {
  %w = arith.constant dense<1.0> : tensor<3x3x16x256xf32>
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(n, h, w, m, i, j, c) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, m, i, j, c) -> (i, j, c, m)>, affine_map<(n, h, w, m, i, j, c) -> (n, h, w, m)>]
      : tensor<1x9x9x16xf32>, tensor<3x3x16x256xf32>, tensor<1x7x7x256xf32> -> tensor<1x7x7x256xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x7x7x256xf32>
}

// -----

// Transposed weights of few columns: transposed, not in panels. Scores of
// attention (no constant): the same, at run time.
// CHECK: #[[KN:.*]] = affine_map<(d0, d1, d2) -> (d2, d1)>
// CHECK-LABEL: @transposed
// CHECK-DAG: linalg.transpose {{.*}} outs({{.*}}tensor<8x24xf32>)
// CHECK-DAG: linalg.transpose {{.*}} outs({{.*}}tensor<8x?xf32>)
// CHECK: dlc.contract {{.*}} [{{.*}}, #[[KN]], {{.*}}] : tensor<4x8xf32>, tensor<8x24xf32>
// CHECK: dlc.contract {{.*}} [{{.*}}, #[[KN]], {{.*}}] : tensor<?x8xf32>, tensor<8x?xf32>
#a = affine_map<(m, n, k) -> (m, k)>
#bt = affine_map<(m, n, k) -> (n, k)>
#c = affine_map<(m, n, k) -> (m, n)>
func.func @transposed(%x: tensor<4x8xf32>, %e: tensor<4x24xf32>, %q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %f: tensor<?x?xf32>) -> (tensor<4x24xf32>, tensor<?x?xf32>) {
  %w = arith.constant dense<1.0> : tensor<24x8xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #bt, #c] : tensor<4x8xf32>, tensor<24x8xf32>, tensor<4x24xf32> -> tensor<4x24xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %q, %k outs %f [#a, #bt, #c] : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x?xf32> -> tensor<?x?xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0, %1 : tensor<4x24xf32>, tensor<?x?xf32>
}

// -----

// Near misses: columns that are contiguous already, a transposed B that one
// row uses, depthwise weights.
// CHECK-LABEL: @near_misses
// CHECK-NOT: linalg.transpose
// CHECK-NOT: tensor.pad
// CHECK: dlc.contract %arg0, %arg1
// CHECK: dlc.contract %arg2, %arg3
// CHECK: dlc.contract %arg4, %cst
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#bt = affine_map<(m, n, k) -> (n, k)>
#c = affine_map<(m, n, k) -> (m, n)>
func.func @near_misses(%x: tensor<?x8xf32>, %w: tensor<8x1000xf32>, %q: tensor<1x8xf32>, %k: tensor<?x8xf32>, %y: tensor<9x128xf32>, %e: tensor<?x1000xf32>, %f: tensor<1x?xf32>, %g: tensor<7x128xf32>) -> (tensor<?x1000xf32>, tensor<1x?xf32>, tensor<7x128xf32>) {
  %taps = arith.constant dense<1.0> : tensor<3x128xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<?x8xf32>, tensor<8x1000xf32>, tensor<?x1000xf32> -> tensor<?x1000xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %q, %k outs %f [#a, #bt, #c] : tensor<1x8xf32>, tensor<?x8xf32>, tensor<1x?xf32> -> tensor<1x?xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %2 = dlc.contract %y, %taps outs %g
      [affine_map<(w, c, j) -> (w + j, c)>, affine_map<(w, c, j) -> (j, c)>, affine_map<(w, c, j) -> (w, c)>]
      : tensor<9x128xf32>, tensor<3x128xf32>, tensor<7x128xf32> -> tensor<7x128xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0, %1, %2 : tensor<?x1000xf32>, tensor<1x?xf32>, tensor<7x128xf32>
}
