// RUN: dlc-opt %s --dlc-allocate-scratch --dlc-lower-contract='vector-bytes=64 registers=32 pairs=tdpbf16ps' | FileCheck %s --implicit-check-not=dlc.contract
// RUN: dlc-opt %s --dlc-allocate-scratch --dlc-lower-contract='vector-bytes=64 registers=32 pairs=tdpbf16ps threads' | FileCheck %s --check-prefix=THREADS
// RUN: not dlc-opt %s --dlc-allocate-scratch --dlc-lower-contract='vector-bytes=64 registers=32 pairs=vdpbf16ps' 2>&1 | FileCheck %s --check-prefix=ERROR

#q = affine_map<(b, m, n, k, c) -> (b, m, k)>
#k = affine_map<(b, m, n, k, c) -> (b, n, k)>
#v = affine_map<(b, m, n, k, c) -> (b, n, c)>
#mask = affine_map<(b, m, n, k, c) -> (m, n)>
#o = affine_map<(b, m, n, k, c) -> (b, m, c)>

// ERROR: expected pairs=tdpbf16ps for attention with dlc.matrix_tiles

// Queries are copied, keys and values become pairs once for all rows; then 32
// rows at a time: scores of two steps of the depth, exponentials of four rows,
// rounded weights, two panels of columns.
// CHECK-LABEL: @one_tile
// CHECK: call_intrinsic "llvm.x86.ldtilecfg"
// CHECK: scf.for
// CHECK: vector.shuffle
// CHECK: scf.for
// CHECK: scf.for
// CHECK-COUNT-4: call_intrinsic "llvm.x86.tilezero"
// CHECK-NOT: tilestored64
// CHECK-COUNT-8: call_intrinsic "llvm.x86.tdpbf16ps"
// CHECK-COUNT-4: call_intrinsic "llvm.x86.tilestored64"
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK-COUNT-4: arith.maximumf {{.*}} : vector<16xf32>
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: math.exp {{.*}} {dlc.softmax} : vector<16xf32>
// CHECK: arith.truncf {{.*}} : vector<16xf32> to vector<16xbf16>
// CHECK: arith.divf
// CHECK: scf.for
// CHECK-COUNT-4: call_intrinsic "llvm.x86.tdpbf16ps"
// CHECK-COUNT-4: call_intrinsic "llvm.x86.tilestored64"
// CHECK: vector.store {{.*}} : memref<?xf32, {{.*}}>, vector<16xf32>
// CHECK: call_intrinsic "llvm.x86.tilerelease"
// Each unit of a thread has the shapes.
// THREADS-LABEL: @one_tile
// THREADS: dlc.parallel
// THREADS: call_intrinsic "llvm.x86.ldtilecfg"
// THREADS: call_intrinsic "llvm.x86.tilerelease"
func.func private @one_tile(%q: memref<12x128x64xbf16>, %k: memref<12x128x64xbf16>, %v: memref<12x128x64xbf16>, %o: memref<12x128x64xf32>) {
  dlc.attention %q, %k, %v outs %o [#q, #k, #v, #o]
      {precision = 1 : i32, tile = array<i64: 128, 128>, dlc.matrix_tiles}
      : memref<12x128x64xbf16>, memref<12x128x64xbf16>, memref<12x128x64xbf16>, memref<12x128x64xf32> {
  ^bb0(%score: f32):
    dlc.yield %score : f32
  }, {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}

// Of keys that the run counts, and rows that see ever more: keys that no row of
// a block sees are left out; the rest of a vector is read under a mask.
// CHECK-LABEL: @tiles
// CHECK: vector.maskedload {{.*}} vector<32xbf16>
// CHECK: arith.cmpi slt, {{.*}} : vector<16xi32>
// CHECK: vector.maskedload {{.*}} vector<16xf32>
// CHECK: arith.select {{.*}} : vector<16xi1>, vector<16xf32>
// CHECK: arith.cmpf oeq
func.func private @tiles(%q: memref<2x?x40xbf16>, %k: memref<2x?x40xbf16>, %v: memref<2x?x17xbf16>, %mask: memref<?x?xf32>, %o: memref<2x?x17xf32>) {
  dlc.attention %q, %k, %v scores %mask : memref<?x?xf32> outs %o [#q, #k, #v, #mask, #o]
      {causal = array<i64: 1, 0>, precision = 1 : i32, tile = array<i64: 256, 512>, dlc.matrix_tiles}
      : memref<2x?x40xbf16>, memref<2x?x40xbf16>, memref<2x?x17xbf16>, memref<2x?x17xf32> {
  ^bb0(%score: f32, %hidden: f32):
    %0 = arith.addf %score, %hidden : f32
    dlc.yield %0 : f32
  }, {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}

// A few rows: vectors of keys.
// CHECK-LABEL: @few_rows
// CHECK-NOT: llvm.x86
func.func private @few_rows(%q: memref<2x1x64xbf16>, %k: memref<2x512x64xbf16>, %v: memref<2x512x64xbf16>, %o: memref<2x1x64xf32>) {
  dlc.attention %q, %k, %v outs %o [#q, #k, #v, #o]
      {precision = 1 : i32, tile = array<i64: 1, 512>, dlc.matrix_tiles}
      : memref<2x1x64xbf16>, memref<2x512x64xbf16>, memref<2x512x64xbf16>, memref<2x1x64xf32> {
  ^bb0(%score: f32):
    dlc.yield %score : f32
  }, {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}
