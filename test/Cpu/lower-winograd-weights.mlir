// RUN: dlc-opt %s -dlc-lower-contract="vector-bytes=32" -split-input-file | FileCheck %s
// RUN: dlc-opt %s -dlc-lower-contract="vector-bytes=32 fma=false" -split-input-file | FileCheck %s --check-prefix=NOFMA

// Vectors run along the last dimension, what is left goes one by one.
// F(2, 3): 9 loads, 16 stores.
// CHECK-LABEL: @panels
// CHECK: scf.for
// CHECK: %[[W:.*]] = arith.constant 16 : index
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[W]]
// CHECK-COUNT-9: vector.load %{{.*}} : memref<2x3x3x19xf32>, vector<8xf32>
// CHECK-COUNT-16: vector.store %{{.*}} : memref<2x4x4x19xf32>, vector<8xf32>
// CHECK: arith.constant 19 : index
// CHECK: scf.for
// CHECK-COUNT-9: memref.load
// CHECK-COUNT-16: memref.store
// NOFMA-LABEL: @panels
// NOFMA-NOT: math.fma
#f = #dlc.winograd<height = 2, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
func.func @panels(%w: memref<2x3x3x19xf32>, %u: memref<2x4x4x19xf32>) {
  dlc.winograd_weights %w outs %u [1, 2] #f : memref<2x3x3x19xf32>, memref<2x4x4x19xf32>
  return
}

// -----

// No vectors along a window, nor along elements that lie apart.
// CHECK-LABEL: @windows
// CHECK-NOT: vector.load
#f = #dlc.winograd<height = 2, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
func.func @windows(%w: memref<16x3x3xf32>, %u: memref<16x4x4xf32>) {
  dlc.winograd_weights %w outs %u [1, 2] #f : memref<16x3x3xf32>, memref<16x4x4xf32>
  return
}
// CHECK-LABEL: @apart
// CHECK-NOT: vector.load
func.func @apart(%w: memref<3x3x16xf32, strided<[96, 32, 2]>>, %u: memref<4x4x16xf32>) {
  dlc.winograd_weights %w outs %u [0, 1] #f : memref<3x3x16xf32, strided<[96, 32, 2]>>, memref<4x4x16xf32>
  return
}
