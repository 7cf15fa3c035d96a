// RUN: dlc-opt %s --dlc-lower-contract="threads vector-bytes=64 registers=32" --split-input-file | FileCheck %s
// RUN: dlc-opt %s --dlc-lower-contract="vector-bytes=64 registers=32" --split-input-file | FileCheck %s --check-prefix=SERIAL

// Blocks of rows, whole register tiles each, by tiles of columns. The larger A
// is what neighbouring units share.

// SERIAL-NOT: dlc.parallel
// CHECK-LABEL: func.func @product
func.func @product(%a: memref<1200x128xf32>, %b: memref<128x192xf32>, %c: memref<1200x192xf32>) {
  // CHECK: dlc.parallel %{{.*}} grain {{[0-9]+}} {
  // CHECK: scf.for %[[UNIT:.*]] =
  // CHECK: %[[COLUMN:.*]] = arith.remui %[[UNIT]], %c3
  // CHECK: %[[ROW:.*]] = arith.divui %[[UNIT]], %c3
  // CHECK: %[[FIRST:.*]] = arith.muli %[[ROW]], %c[[BLOCK:[0-9]*[02468]]]
  // CHECK-COUNT-3: memref.prefetch %{{.*}} locality<2>
  // CHECK-COUNT-2: memref.prefetch %{{.*}} locality<3>
  dlc.contract %a, %b outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : memref<1200x128xf32>, memref<128x192xf32>, memref<1200x192xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}

// -----

// Too little work for two threads.

// CHECK-LABEL: func.func @small
func.func @small(%a: memref<12x64xf32>, %b: memref<64x64xf32>, %c: memref<12x64xf32>) {
  // CHECK-NOT: dlc.parallel
  // CHECK: return
  dlc.contract %a, %b outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : memref<12x64xf32>, memref<64x64xf32>, memref<12x64xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}

// -----

// Units are blocks of columns, of one block of tiles. A thread transforms its
// inputs with the first unit, or where its memory does not hold them yet.

// CHECK-LABEL: func.func @winograd
func.func @winograd(%x: memref<1x16x16x128xf32>, %w: memref<6x6x128x128xf32>, %o: memref<1x14x14x128xf32>, %s: memref<1048576xf32>) {
  // CHECK: dlc.parallel
  // CHECK-NEXT: ^bb0(%{{.*}}: index, %{{.*}}: index, %[[OWN:.*]]: !llvm.ptr, %[[SINCE:.*]]: index):
  // CHECK: scf.for %[[UNIT:.*]] =
  // CHECK: dlc.scratch %{{.*}} or %[[OWN]]
  // CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[UNIT]], %c0
  // CHECK: %[[BEGIN:.*]] = arith.cmpi eq, %[[UNIT]], %[[SINCE]]
  // CHECK: %[[MISSING:.*]] = arith.ori %[[FIRST]], %[[BEGIN]]
  // CHECK: scf.if %[[MISSING]]
  dlc.contract %x, %w outs %o scratch %s : memref<1048576xf32>
      [affine_map<(n, h, w, m, i, j, c) -> (n, h + i, w + j, c)>,
       affine_map<(n, h, w, m, i, j, c) -> (i, j, c, m)>,
       affine_map<(n, h, w, m, i, j, c) -> (n, h, w, m)>]
      {winograd = #dlc.winograd<height = 4, width = 4, windowHeight = 3, windowWidth = 3, tiles = 16>}
      : memref<1x16x16x128xf32>, memref<6x6x128x128xf32>, memref<1x14x14x128xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}
