// RUN: dlc-opt %s | dlc-opt | FileCheck %s

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
#bias = affine_map<(m, n, k) -> (n)>

// CHECK-LABEL: @matmul
// CHECK: dlc.contract %{{.*}}, %{{.*}} extras %{{.*}} : tensor<8xf32> outs %{{.*}} [#{{.*}}, #{{.*}}, #{{.*}}, #{{.*}}]
// CHECK-SAME: : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
// CHECK: dlc.yield %{{.*}} : f32
func.func @matmul(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %bias: tensor<8xf32>, %init: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %r = dlc.contract %x, %w extras %bias : tensor<8xf32> outs %init [#a, #b, #bias, #c]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%sum: f32, %e: f32):
    %0 = arith.addf %sum, %e : f32
    dlc.yield %0 : f32
  }
  return %r : tensor<4x8xf32>
}

// Packed weights, bytes summed in words, memrefs.
// CHECK-LABEL: @packed_bytes
// CHECK: dlc.contract {{.*}} {aUnsigned} : memref<?x6xi8>, memref<2x6x16xi8>, memref<?x32xi32> {
func.func @packed_bytes(%x: memref<?x6xi8>, %w: memref<2x6x16xi8>, %init: memref<?x32xi32>) {
  dlc.contract %x, %w outs %init
      [#a, affine_map<(m, n, k) -> (n floordiv 16, k, n mod 16)>, #c] {aUnsigned}
      : memref<?x6xi8>, memref<2x6x16xi8>, memref<?x32xi32> {
  ^bb0(%sum: i32):
    dlc.yield %sum : i32
  }
  return
}
