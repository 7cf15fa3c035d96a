// RUN: dlc-opt %s -dlc-pack-contract="panel=64 lanes=16 group=4 dot-lanes=16 byte-tiles pairs pair-tiles" -split-input-file | FileCheck %s

// For tiles a panel has two vectors; 25 groups are two steps of 13, of which
// the last group is zeros.
// CHECK: #[[B:.*]] = affine_map<(d0, d1, d2) -> (d1 floordiv 32, d2 floordiv 4, d1 mod 32, d2 mod 4)>
// CHECK-LABEL: @rows
// CHECK: tensor.pad %{{.*}} low[0, 0] high[4, 0]
// CHECK: linalg.transpose {{.*}} outs({{.*}} : tensor<4x26x32x4xi8>)
// CHECK: dlc.contract {{.*}} #[[B]], {{.*}} extent = 100>}
func.func @rows(%x: tensor<?x100xi8>, %e: tensor<?x128xi32>) -> tensor<?x128xi32> {
  %w = arith.constant dense<1> : tensor<100x128xi8>
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      {aUnsigned} : tensor<?x100xi8>, tensor<100x128xi8>, tensor<?x128xi32> -> tensor<?x128xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return %0 : tensor<?x128xi32>
}

// -----

// Few rows are for vectors.
// CHECK: #[[B:.*]] = affine_map<(d0, d1, d2) -> (d1 floordiv 64, d2 floordiv 4, d1 mod 64, d2 mod 4)>
// CHECK-LABEL: @few
// CHECK: linalg.transpose {{.*}} outs({{.*}} : tensor<2x25x64x4xi8>)
func.func @few(%x: tensor<4x100xi8>, %e: tensor<4x128xi32>) -> tensor<4x128xi32> {
  %w = arith.constant dense<1> : tensor<100x128xi8>
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      {aUnsigned} : tensor<4x100xi8>, tensor<100x128xi8>, tensor<4x128xi32> -> tensor<4x128xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return %0 : tensor<4x128xi32>
}

// -----

// CHECK: #[[B:.*]] = affine_map<(d0, d1, d2) -> (d1 floordiv 32, d2 floordiv 2, d1 mod 32, d2 mod 2)>
// CHECK-LABEL: @pairs
// CHECK: linalg.transpose {{.*}} outs({{.*}} : tensor<4x36x32x2xbf16>)
func.func @pairs(%x: tensor<40x67xbf16>, %e: tensor<40x128xf32>) -> tensor<40x128xf32> {
  %w = arith.constant dense<1.0> : tensor<67x128xbf16>
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<40x67xbf16>, tensor<67x128xbf16>, tensor<40x128xf32> -> tensor<40x128xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<40x128xf32>
}
