// RUN: dlc-opt %s --dlc-allocate-scratch --dlc-lower-contract='vector-bytes=64 registers=32' | FileCheck %s
// RUN: dlc-opt %s --dlc-allocate-scratch --dlc-lower-contract='vector-bytes=64 registers=32 threads' | FileCheck %s --check-prefix=THREADS
// RUN: dlc-opt %s --dlc-allocate-scratch | FileCheck %s --check-prefix=SCRATCH

#q = affine_map<(b, m, n, k, c) -> (b, m, k)>
#k = affine_map<(b, m, n, k, c) -> (b, n, k)>
#v = affine_map<(b, m, n, k, c) -> (b, n, c)>
#mask = affine_map<(b, m, n, k, c) -> (m, n)>
#o = affine_map<(b, m, n, k, c) -> (b, m, c)>

// The queries of a tile, their scores, the numbers of rows: no 256 x 512.
// SCRATCH: dlc.thread_workspace = 148480
// SCRATCH-LABEL: @one_tile
// SCRATCH: %[[S:.*]] = memref.alloc() {alignment = 64 : i64} : memref<148480xi8>
// SCRATCH: dlc.attention {{.*}} scratch %[[S]] : memref<148480xi8>

// Queries become columns; scores lie key by key, 6 by 64 at a time; weights
// are exponentials of 64 rows; the inverse of their sum is the last factor.
// CHECK-LABEL: @one_tile
// CHECK: scf.for
// CHECK: vector.shuffle
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>, {{.*}})
// CHECK: math.fma {{.*}} : vector<16xf32>
// CHECK: arith.maximumf {{.*}} : vector<16xf32>
// CHECK: math.exp {{.*}} {dlc.softmax} : vector<16xf32>
// CHECK: arith.divf {{.*}} : vector<16xf32>
// CHECK: math.fma {{.*}} : vector<16xf32>
// CHECK-NOT: dlc.contract
// THREADS-LABEL: @one_tile
// THREADS: dlc.parallel %c8 grain
// THREADS: dlc.scratch %{{.*}} or %{{.*}} : memref<148480xi8>
func.func private @one_tile(%q: memref<2x256x64xf32>, %k: memref<2x512x64xf32>, %v: memref<2x512x64xf32>, %o: memref<2x256x64xf32>) {
  dlc.attention %q, %k, %v outs %o [#q, #k, #v, #o] {tile = array<i64: 64, 512>}
      : memref<2x256x64xf32>, memref<2x512x64xf32>, memref<2x512x64xf32>, memref<2x256x64xf32> {
  ^bb0(%score: f32):
    dlc.yield %score : f32
  }, {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}

// Of keys that the run counts, maxima and sums go from tile to tile; a mask is
// turned like the queries; keys behind a row's own are minus infinity.
// CHECK-LABEL: @tiles
// CHECK: arith.constant 0xFF800000 : f32
// CHECK: vector.shuffle
// CHECK: arith.cmpi slt, {{.*}} : vector<16xi32>
// CHECK: arith.select {{.*}} : vector<16xi1>, vector<16xf32>
// CHECK: arith.cmpf oeq, {{.*}} : vector<16xf32>
func.func private @tiles(%q: memref<2x256x64xf32>, %k: memref<2x?x64xf32>, %v: memref<2x?x64xf32>, %mask: memref<256x?xf32>, %o: memref<2x256x64xf32>) {
  dlc.attention %q, %k, %v scores %mask : memref<256x?xf32> outs %o [#q, #k, #v, #mask, #o] {causal = array<i64: 1, 0>, tile = array<i64: 64, 128>}
      : memref<2x256x64xf32>, memref<2x?x64xf32>, memref<2x?x64xf32>, memref<2x256x64xf32> {
  ^bb0(%score: f32, %hidden: f32):
    %0 = arith.addf %score, %hidden : f32
    dlc.yield %0 : f32
  }, {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}

// A few rows: scores lie row by row, and one maximum is that of a vector.
// CHECK-LABEL: @few_rows
// CHECK-NOT: vector.shuffle
// CHECK: vector.reduction <maximumf>
// CHECK: vector.reduction <add>
func.func private @few_rows(%q: memref<2x1x64xf32>, %k: memref<2x512x64xf32>, %v: memref<2x512x64xf32>, %o: memref<2x1x64xf32>) {
  dlc.attention %q, %k, %v outs %o [#q, #k, #v, #o] {tile = array<i64: 1, 512>}
      : memref<2x1x64xf32>, memref<2x512x64xf32>, memref<2x512x64xf32>, memref<2x1x64xf32> {
  ^bb0(%score: f32):
    dlc.yield %score : f32
  }, {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}
