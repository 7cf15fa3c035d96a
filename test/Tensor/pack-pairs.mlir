// RUN: dlc-opt %s -dlc-pack-contract="panel=64 lanes=16 pairs" -split-input-file | FileCheck %s
// RUN: dlc-opt %s -dlc-pack-contract="panel=64 lanes=16" -split-input-file | FileCheck %s --check-prefix=NONE

// Panels of columns and pairs along the sum, filled with zeros.
// CHECK: #[[B:.*]] = affine_map<(d0, d1, d2) -> (d1 floordiv 48, d2 floordiv 2, d1 mod 48, d2 mod 2)>
// CHECK-LABEL: @product
// CHECK: %[[P:.*]] = tensor.pad %{{.*}} low[0, 0] high[1, 8]
// CHECK: tensor.yield %{{.*}} : bf16
// CHECK: %[[T:.*]] = linalg.transpose ins(%{{.*}} tensor<1x6x48x2xbf16>) permutation = [2, 0, 3, 1]
// CHECK: dlc.contract %arg0, %[[T]] outs {{.*}} [{{.*}}, #[[B]], {{.*}}] {dot = #dlc.dot<flip = false, group = 2, extent = 11>}
// NONE-NOT: dlc.dot
func.func @product(%x: tensor<?x11xbf16>, %e: tensor<?x40xf32>) -> tensor<?x40xf32> {
  %w = arith.constant dense<1.5> : tensor<11x40xbf16>
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<?x11xbf16>, tensor<11x40xbf16>, tensor<?x40xf32> -> tensor<?x40xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<?x40xf32>
}

// -----

// A group's channels are a part of A's: a step along the sum is one of them.
// CHECK: #[[B:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d2, d3 floordiv 32, d4, d5 floordiv 2, d3 mod 32, d5 mod 2)>
// CHECK-LABEL: @groups
// CHECK: dlc.contract %arg0, %{{.*}} [{{.*}}, #[[B]], {{.*}}] {dot = #dlc.dot<flip = false, group = 2, extent = 16>}
func.func @groups(%x: tensor<1x50x64xbf16>, %e: tensor<1x48x4x32xf32>) -> tensor<1x48x4x32xf32> {
  %w = arith.constant dense<1.5> : tensor<4x3x16x32xbf16>
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(n, x, g, m, j, c) -> (n, x + j, g * 16 + c)>, affine_map<(n, x, g, m, j, c) -> (g, j, c, m)>, affine_map<(n, x, g, m, j, c) -> (n, x, g, m)>]
      : tensor<1x50x64xbf16>, tensor<4x3x16x32xbf16>, tensor<1x48x4x32xf32> -> tensor<1x48x4x32xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x48x4x32xf32>
}

// -----

// Numbers of two types have no dot product.
// CHECK-LABEL: @mixed
// CHECK-NOT: dlc.dot
func.func @mixed(%x: tensor<?x10xf16>, %e: tensor<?x40xf32>) -> tensor<?x40xf32> {
  %w = arith.constant dense<1.5> : tensor<10x40xbf16>
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<?x10xf16>, tensor<10x40xbf16>, tensor<?x40xf32> -> tensor<?x40xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<?x40xf32>
}
