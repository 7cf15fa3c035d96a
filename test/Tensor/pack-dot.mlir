// RUN: dlc-opt %s -dlc-pack-contract="panel=64 lanes=16 group=4 dot-lanes=16" -split-input-file | FileCheck %s

// Panels of columns and groups of four along the sum, filled with zeros.
// CHECK: #[[B:.*]] = affine_map<(d0, d1, d2) -> (d1 floordiv 48, d2 floordiv 4, d1 mod 48, d2 mod 4)>
// CHECK-LABEL: @product
// CHECK: %[[P:.*]] = tensor.pad %{{.*}} low[0, 0] high[2, 8]
// CHECK: %[[S:.*]] = tensor.expand_shape %[[P]] {{\[\[}}0, 1], [2, 3]] {{.*}} into tensor<3x4x1x48xi8>
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[S]] {{.*}} tensor<1x3x48x4xi8>) permutation = [2, 0, 3, 1]
// CHECK: dlc.contract %arg0, %[[T]] outs {{.*}} [{{.*}}, #[[B]], {{.*}}] {aUnsigned, dot = #dlc.dot<flip = true, group = 4, extent = 10>}
func.func @product(%x: tensor<?x10xi8>, %e: tensor<?x40xi32>) -> tensor<?x40xi32> {
  %w = arith.constant dense<1> : tensor<10x40xi8>
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      {aUnsigned, dot = #dlc.dot<flip = true>}
      : tensor<?x10xi8>, tensor<10x40xi8>, tensor<?x40xi32> -> tensor<?x40xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return %0 : tensor<?x40xi32>
}

// -----

// Three channels fill no groups: a line of the window is one dimension.
// CHECK-DAG: #[[A:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1 * 2 + d4, d2 * 6 + d5)>
// CHECK-DAG: #[[B:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d3 floordiv 64, d4, d5 floordiv 4, d3 mod 64, d5 mod 4)>
// CHECK-LABEL: @merged
// CHECK: %[[W:.*]] = tensor.collapse_shape {{.*}} {{\[\[}}0], [1, 2], [3]] : tensor<7x7x3x64xi8> into tensor<7x21x64xi8>
// CHECK: tensor.pad %[[W]] low[0, 0, 0] high[0, 3, 0]
// CHECK: %[[X:.*]] = tensor.collapse_shape %arg0 {{\[\[}}0], [1], [2, 3]]
// CHECK: dlc.contract %[[X]], {{.*}} [#[[A]], #[[B]], {{.*}}] {aUnsigned, dot = #dlc.dot<flip = false, group = 4, extent = 21>}
func.func @merged(%x: tensor<1x230x230x3xi8>, %w: tensor<7x7x3x64xi8>, %e: tensor<1x112x112x64xi32>) -> tensor<1x112x112x64xi32> {
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(n, h, w, m, i, j, c) -> (n, h * 2 + i, w * 2 + j, c)>, affine_map<(n, h, w, m, i, j, c) -> (i, j, c, m)>, affine_map<(n, h, w, m, i, j, c) -> (n, h, w, m)>]
      {aUnsigned}
      : tensor<1x230x230x3xi8>, tensor<7x7x3x64xi8>, tensor<1x112x112x64xi32> -> tensor<1x112x112x64xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return %0 : tensor<1x112x112x64xi32>
}

// -----

// With dilation, the window's pixels aren't neighbours.
// CHECK-LABEL: @dilated
// CHECK-NOT: tensor.collapse_shape
// CHECK: dlc.contract %arg0, {{.*}} {dot = #dlc.dot<flip = false, group = 4, extent = 3>}
func.func @dilated(%x: tensor<1x20x20x3xi8>, %w: tensor<3x3x3x64xi8>, %e: tensor<1x16x16x64xi32>) -> tensor<1x16x16x64xi32> {
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(n, h, w, m, i, j, c) -> (n, h + i * 2, w + j * 2, c)>, affine_map<(n, h, w, m, i, j, c) -> (i, j, c, m)>, affine_map<(n, h, w, m, i, j, c) -> (n, h, w, m)>]
      : tensor<1x20x20x3xi8>, tensor<3x3x3x64xi8>, tensor<1x16x16x64xi32> -> tensor<1x16x16x64xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return %0 : tensor<1x16x16x64xi32>
}

// -----

// A few rows of a B that isn't constant, and sums that A doesn't have side by
// side, stay as they are.
// CHECK-LABEL: @few_rows
// CHECK-NOT: group = 4
func.func @few_rows(%x: tensor<2x8xi8>, %y: tensor<8x64xi8>, %z: tensor<8x64xi8>, %e: tensor<2x64xi32>, %f: tensor<64x64xi32>) -> (tensor<2x64xi32>, tensor<64x64xi32>) {
  %0 = dlc.contract %x, %y outs %e
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<2x8xi8>, tensor<8x64xi8>, tensor<2x64xi32> -> tensor<2x64xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  %1 = dlc.contract %y, %z outs %f
      [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<8x64xi8>, tensor<8x64xi8>, tensor<64x64xi32> -> tensor<64x64xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return %0, %1 : tensor<2x64xi32>, tensor<64x64xi32>
}
