// RUN: dlc-opt %s | dlc-opt | FileCheck %s

#q = affine_map<(b, m, n, k, c) -> (b, m, k)>
#k = affine_map<(b, m, n, k, c) -> (b, n, k)>
#v = affine_map<(b, m, n, k, c) -> (b, n, c)>
#mask = affine_map<(b, m, n, k, c) -> (0, m, n)>
#row = affine_map<(b, m, n, k, c) -> (m, 0)>
#c = affine_map<(b, m, n, k, c) -> (b, m, c)>

// CHECK-LABEL: @masked
// CHECK: dlc.attention %{{.*}}, %{{.*}}, %{{.*}} scores %{{.*}} : tensor<1x6x8xf32> extras %{{.*}} : tensor<6x1xi1> outs %{{.*}} [
// CHECK-SAME: : tensor<2x6x4xf32>, tensor<2x8x4xf32>, tensor<2x8x5xf32>, tensor<2x6x5xf32> -> tensor<2x6x5xf32> {
// CHECK: dlc.yield
// CHECK: }, {
// CHECK: dlc.yield
func.func @masked(%q: tensor<2x6x4xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x8x5xf32>, %mask: tensor<1x6x8xf32>, %none: tensor<6x1xi1>, %init: tensor<2x6x5xf32>) -> tensor<2x6x5xf32> {
  %r = dlc.attention %q, %k, %v scores %mask : tensor<1x6x8xf32> extras %none : tensor<6x1xi1>
      outs %init [#q, #k, #v, #mask, #row, #c]
      : tensor<2x6x4xf32>, tensor<2x8x4xf32>, tensor<2x8x5xf32>, tensor<2x6x5xf32> -> tensor<2x6x5xf32> {
  ^bb0(%score: f32, %hidden: f32):
    %0 = arith.addf %score, %hidden : f32
    dlc.yield %0 : f32
  }, {
  ^bb0(%sum: f32, %isNone: i1):
    %zero = arith.constant 0.0 : f32
    %0 = arith.select %isNone, %zero, %sum : f32
    dlc.yield %0 : f32
  }
  return %r : tensor<2x6x5xf32>
}

// Halves, memrefs, keys and values that heads share.
// CHECK-LABEL: @buffers
// CHECK: dlc.attention {{.*}} {precision = 2 : i32} : memref<2x?x4xf16>, memref<?x4xf16>, memref<?x5xf16>, memref<2x?x5xf16> {
func.func @buffers(%q: memref<2x?x4xf16>, %k: memref<?x4xf16>, %v: memref<?x5xf16>, %init: memref<2x?x5xf16>) {
  dlc.attention %q, %k, %v outs %init
      [#q, affine_map<(b, m, n, k, c) -> (n, k)>, affine_map<(b, m, n, k, c) -> (n, c)>, #c] {precision = 2 : i32}
      : memref<2x?x4xf16>, memref<?x4xf16>, memref<?x5xf16>, memref<2x?x5xf16> {
  ^bb0(%score: f32):
    dlc.yield %score : f32
  }, {
  ^bb0(%sum: f32):
    %0 = arith.truncf %sum : f32 to f16
    dlc.yield %0 : f16
  }
  return
}

// Two parts of the keys, each row with its maximum and sum behind the columns.
// CHECK-LABEL: @parts
// CHECK: dlc.attention {{.*}} {dlc.parts = 2 : i64, tile = array<i64: 6, 8>} : tensor<6x4xf32>, tensor<?x4xf32>, tensor<?x5xf32>, tensor<2x6x7xf32> -> tensor<2x6x7xf32> {
func.func @parts(%q: tensor<6x4xf32>, %k: tensor<?x4xf32>, %v: tensor<?x5xf32>, %init: tensor<2x6x7xf32>) -> tensor<2x6x7xf32> {
  %r = dlc.attention %q, %k, %v outs %init
      [affine_map<(m, n, k, c, p, e) -> (m, k)>, affine_map<(m, n, k, c, p, e) -> (n, k)>,
       affine_map<(m, n, k, c, p, e) -> (n, c)>, affine_map<(m, n, k, c, p, e) -> (p, m, e)>]
      {dlc.parts = 2 : i64, tile = array<i64: 6, 8>}
      : tensor<6x4xf32>, tensor<?x4xf32>, tensor<?x5xf32>, tensor<2x6x7xf32> -> tensor<2x6x7xf32> {
  ^bb0(%score: f32):
    dlc.yield %score : f32
  }, {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r : tensor<2x6x7xf32>
}
