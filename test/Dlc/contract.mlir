// RUN: dlc-opt %s | dlc-opt | FileCheck %s
// RUN: dlc-opt %s --canonicalize | FileCheck %s --check-prefix=NONE

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

// Nothing is computed of no element.
// NONE-LABEL: @nothing
// NONE-NEXT: return %arg2
// NONE-LABEL: @maybe_nothing
// NONE: dlc.contract
func.func @nothing(%x: tensor<0x6xf32>, %w: tensor<6x?xf32>, %init: tensor<0x?xf32>) -> tensor<0x?xf32> {
  %r = dlc.contract %x, %w outs %init [#a, #b, #c]
      : tensor<0x6xf32>, tensor<6x?xf32>, tensor<0x?xf32> -> tensor<0x?xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r : tensor<0x?xf32>
}
func.func @maybe_nothing(%x: tensor<?x0xf32>, %w: tensor<0x8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %r = dlc.contract %x, %w outs %init [#a, #b, #c]
      : tensor<?x0xf32>, tensor<0x8xf32>, tensor<?x8xf32> -> tensor<?x8xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r : tensor<?x8xf32>
}
