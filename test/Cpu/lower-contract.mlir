// RUN: dlc-opt %s -dlc-lower-contract="vector-bytes=64 registers=32" -canonicalize -cse | FileCheck %s --implicit-check-not=dlc.contract

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>

// 24 sums in registers, two steps of the sum at a time; the epilogue on
// vectors.
// CHECK-LABEL: @product
// CHECK: scf.for {{.*}} step %c64
// CHECK: scf.for {{.*}} step %c6
// CHECK: %{{.*}}:24 = scf.for {{.*}} step %c2
// CHECK-COUNT-48: math.fma {{.*}} : vector<16xf32>
// CHECK: arith.maximumf {{.*}} : vector<16xf32>
// CHECK: vector.store
func.func @product(%x: memref<12x32xf32>, %w: memref<32x128xf32>, %o: memref<12x128xf32>) {
  dlc.contract %x, %w outs %o [#a, #b, #c] : memref<12x32xf32>, memref<32x128xf32>, memref<12x128xf32> {
  ^bb0(%s: f32):
    %zero = arith.constant 0.0 : f32
    %r = arith.maximumf %s, %zero : f32
    dlc.yield %r : f32
  }
  return
}

// The last columns are masked: 3 of 16.
// CHECK-LABEL: @tail
// CHECK: arith.constant dense<[true, true, true, false, false, false, false, false, false, false, false, false, false, false, false, false]>
// CHECK: vector.maskedload
// CHECK: vector.maskedstore
func.func @tail(%x: memref<4x32xf32>, %w: memref<32x19xf32>, %o: memref<4x19xf32>) {
  dlc.contract %x, %w outs %o [#a, #b, #c] : memref<4x32xf32>, memref<32x19xf32>, memref<4x19xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// Channels-wise: a vector of channels, seven outputs side by side.
// CHECK-LABEL: @depthwise
// CHECK: scf.for {{.*}} step %c16
// CHECK-COUNT-21: math.fma {{.*}} : vector<16xf32>
// CHECK-NOT: vector.broadcast
// CHECK-COUNT-7: vector.store
func.func @depthwise(%x: memref<9x32xf32>, %w: memref<3x32xf32>, %o: memref<7x32xf32>) {
  dlc.contract %x, %w outs %o
      [affine_map<(w, c, j) -> (w + j, c)>, affine_map<(w, c, j) -> (j, c)>, affine_map<(w, c, j) -> (w, c)>]
      : memref<9x32xf32>, memref<3x32xf32>, memref<7x32xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// Both operands contiguous along the sum only: dot products.
// CHECK-LABEL: @dot
// CHECK: math.fma {{.*}} : vector<16xf32>
// CHECK: vector.reduction <add>, {{.*}} fastmath<reassoc>
func.func @dot(%x: memref<4x64xf32>, %w: memref<8x64xf32>, %o: memref<4x8xf32>) {
  dlc.contract %x, %w outs %o [#a, affine_map<(m, n, k) -> (n, k)>, #c] : memref<4x64xf32>, memref<8x64xf32>, memref<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// Near miss: no operand contiguous in a direction that helps. Single elements.
// CHECK-LABEL: @scalar
// CHECK-NOT: vector
// CHECK: memref.load
// CHECK: memref.load
// CHECK: arith.mulf
// CHECK: memref.store
// CHECK: return
func.func @scalar(%x: memref<32x4xf32, strided<[8, 2]>>, %w: memref<8x32xf32, strided<[64, 2]>>, %o: memref<4x8xf32>) {
  dlc.contract %x, %w outs %o [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (n, k)>, #c]
      : memref<32x4xf32, strided<[8, 2]>>, memref<8x32xf32, strided<[64, 2]>>, memref<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}
