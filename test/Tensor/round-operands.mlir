// RUN: dlc-opt %s --dlc-round-operands -split-input-file | FileCheck %s

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>

// Both operands, one that is used twice once; the sum stays float32.
// CHECK-LABEL: @products
// CHECK-DAG: %[[X:.*]] = linalg.generic {{.*}} ins(%arg0 : tensor<?x65xf32>) outs(%{{.*}} : tensor<?x65xbf16>)
// CHECK-DAG: arith.truncf %{{.*}} fastmath<afn> : f32 to bf16
// CHECK-DAG: %[[W:.*]] = linalg.generic {{.*}} ins(%cst{{.*}} : tensor<65x128xf32>) outs(%{{.*}} : tensor<65x128xbf16>)
// CHECK: dlc.contract %[[X]], %[[W]] {{.*}} : tensor<?x65xbf16>, tensor<65x128xbf16>, tensor<?x128xf32>
// CHECK: ^bb0(%{{.*}}: f32):
// CHECK: dlc.contract %[[X]], %[[W]]
func.func @products(%x: tensor<?x65xf32>, %e: tensor<?x128xf32>) -> (tensor<?x128xf32>, tensor<?x128xf32>) {
  %w = arith.constant dense<1.5> : tensor<65x128xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<?x65xf32>, tensor<65x128xf32>, tensor<?x128xf32> -> tensor<?x128xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<?x65xf32>, tensor<65x128xf32>, tensor<?x128xf32> -> tensor<?x128xf32> {
  ^bb0(%s: f32):
    %n = arith.negf %s : f32
    dlc.yield %n : f32
  }
  return %0, %1 : tensor<?x128xf32>, tensor<?x128xf32>
}

// -----

// What a border is put around is rounded in front of that, and so is what is
// turned.
// CHECK-LABEL: @in_front
// CHECK-DAG: %[[T:.*]] = linalg.transpose ins(%[[X:.*]] : tensor<64x32x32xbf16>) outs({{.*}} : tensor<32x32x64xbf16>)
// CHECK-DAG: %[[Z:.*]] = linalg.fill ins(%{{.*}} : bf16) outs(%{{.*}} : tensor<1x34x34x64xbf16>)
// CHECK-DAG: %[[E:.*]] = tensor.expand_shape %[[T]] {{.*}} : tensor<32x32x64xbf16> into tensor<1x32x32x64xbf16>
// CHECK: %[[P:.*]] = tensor.insert_slice %[[E]] into %[[Z]]
// CHECK: dlc.contract %[[P]], %{{.*}} : tensor<1x34x34x64xbf16>, tensor<2x2x64x64xbf16>
func.func @in_front(%x: tensor<64x32x32xf32>, %e: tensor<1x32x32x64xf32>, %f: tensor<32x32x64xf32>) -> tensor<1x32x32x64xf32> {
  %w = arith.constant dense<1.5> : tensor<2x2x64x64xf32>
  %zero = arith.constant 0.0 : f32
  %t = linalg.transpose ins(%x : tensor<64x32x32xf32>) outs(%f : tensor<32x32x64xf32>) permutation = [1, 2, 0]
  %r = tensor.expand_shape %t [[0, 1], [2], [3]] output_shape [1, 32, 32, 64] : tensor<32x32x64xf32> into tensor<1x32x32x64xf32>
  %empty = tensor.empty() : tensor<1x34x34x64xf32>
  %border = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x34x34x64xf32>) -> tensor<1x34x34x64xf32>
  %p = tensor.insert_slice %r into %border[0, 1, 1, 0] [1, 32, 32, 64] [1, 1, 1, 1] : tensor<1x32x32x64xf32> into tensor<1x34x34x64xf32>
  %0 = dlc.contract %p, %w outs %e
      [affine_map<(n, y, x, m, i, j, c) -> (n, y + i * 2, x + j * 2, c)>,
       affine_map<(n, y, x, m, i, j, c) -> (i, j, c, m)>,
       affine_map<(n, y, x, m, i, j, c) -> (n, y, x, m)>]
      : tensor<1x34x34x64xf32>, tensor<2x2x64x64xf32>, tensor<1x32x32x64xf32> -> tensor<1x32x32x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x32x32x64xf32>
}

// -----

// A convolution that another form computes faster stays float32.
// CHECK-LABEL: @transformed
// CHECK-NOT: bf16
// CHECK: return
func.func @transformed(%x: tensor<1x58x58x64xf32>, %e: tensor<1x56x56x64xf32>) -> tensor<1x56x56x64xf32> {
  %w = arith.constant dense<1.5> : tensor<3x3x64x64xf32>
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(n, y, x, m, i, j, c) -> (n, y + i, x + j, c)>,
       affine_map<(n, y, x, m, i, j, c) -> (i, j, c, m)>,
       affine_map<(n, y, x, m, i, j, c) -> (n, y, x, m)>]
      {dlc.transformed}
      : tensor<1x58x58x64xf32>, tensor<3x3x64x64xf32>, tensor<1x56x56x64xf32> -> tensor<1x56x56x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x56x56x64xf32>
}

// -----

#c = affine_map<(m, n, k) -> (m, n)>

// An A that isn't contiguous along the sum is turned.
// CHECK-DAG: #[[A:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-LABEL: @turned
// CHECK: %[[T:.*]] = linalg.transpose ins(%{{.*}} : tensor<64x40xbf16>) outs(%{{.*}} : tensor<40x64xbf16>) permutation = [1, 0]
// CHECK: dlc.contract %[[T]], %{{.*}} [#[[A]],
func.func @turned(%x: tensor<64x40xf32>, %e: tensor<40x128xf32>) -> tensor<40x128xf32> {
  %w = arith.constant dense<1.5> : tensor<64x128xf32>
  %0 = dlc.contract %x, %w outs %e [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, #c] : tensor<64x40xf32>, tensor<64x128xf32>, tensor<40x128xf32> -> tensor<40x128xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<40x128xf32>
}

// -----

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>

// Near misses: one term a sum, one column, few rows for an operand that is
// laid out in the run, doubles, and what is no product of matrices.
// CHECK-LABEL: @stays
// CHECK-NOT: bf16
// CHECK: return
func.func @stays(%x: tensor<8x64xf32>, %y: tensor<64x64xf32>, %d: tensor<64x64xf64>, %e: tensor<8x64xf32>, %e1: tensor<8x1xf32>, %ed: tensor<64x64xf64>, %x1: tensor<8x1xf32>)
    -> (tensor<8x64xf32>, tensor<8x64xf32>, tensor<8x1xf32>, tensor<64x64xf64>) {
  %v = arith.constant dense<1.5> : tensor<1x64xf32>
  %w = arith.constant dense<1.5> : tensor<64x1xf32>
  %0 = dlc.contract %x1, %v outs %e [#a, #b, #c] : tensor<8x1xf32>, tensor<1x64xf32>, tensor<8x64xf32> -> tensor<8x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %x, %y outs %e [#a, #b, #c] : tensor<8x64xf32>, tensor<64x64xf32>, tensor<8x64xf32> -> tensor<8x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %2 = dlc.contract %x, %w outs %e1 [#a, #b, #c] : tensor<8x64xf32>, tensor<64x1xf32>, tensor<8x1xf32> -> tensor<8x1xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %3 = dlc.contract %d, %d outs %ed [#a, #b, #c] : tensor<64x64xf64>, tensor<64x64xf64>, tensor<64x64xf64> -> tensor<64x64xf64> {
  ^bb0(%s: f64):
    dlc.yield %s : f64
  }
  return %0, %1, %2, %3 : tensor<8x64xf32>, tensor<8x64xf32>, tensor<8x1xf32>, tensor<64x64xf64>
}
