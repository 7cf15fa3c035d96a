// RUN: dlc-opt %s --dlc-fuse-rows='fewest-rows=4' --dlc-tile-rows='threads=false' --canonicalize | FileCheck %s
// RUN: dlc-opt %s --dlc-fuse-rows='fewest-rows=4' --dlc-tile-rows='threads=false vector-bytes=64 registers=32 l2-bytes=65536' --canonicalize | FileCheck %s --check-prefix=WIDE

// A softmax without its quotient: all steps of 16 rows, then the next ones. The
// exponentials, which nothing else reads, have one block. They are added up in
// f32 while they are made, beginning with 2, with what that rounds, and all
// lanes in f64. The result has all rows.

module {
  // CHECK-LABEL: func.func @main
  // CHECK: call @rows_0
  // CHECK-NOT: call @
  // CHECK: return
  func.func @main(%p: !llvm.ptr) -> i32 {
    %c0 = arith.constant 0 : i32
    %x = dlc.input 0 : memref<64x128xf32>
    %y = dlc.output 0 : memref<64xf32>
    %e = dlc.arena 0 : memref<64x128xf32>
    %max = dlc.arena 32768 : memref<64xf32>
    call @most(%x, %max) : (memref<64x128xf32>, memref<64xf32>) -> ()
    call @exp(%x, %max, %e) : (memref<64x128xf32>, memref<64xf32>, memref<64x128xf32>) -> ()
    call @sum(%e, %y) : (memref<64x128xf32>, memref<64xf32>) -> ()
    return %c0 : i32
  }
  func.func private @most(%x: memref<64x128xf32>, %max: memref<64xf32>) {
    linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
                    iterator_types = ["parallel", "reduction"]}
        ins(%x : memref<64x128xf32>) outs(%max : memref<64xf32>) {
    ^bb0(%a: f32, %b: f32):
      %0 = arith.maximumf %b, %a : f32
      linalg.yield %0 : f32
    }
    return
  }
  func.func private @exp(%x: memref<64x128xf32>, %max: memref<64xf32>, %e: memref<64x128xf32>) {
    linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
                    iterator_types = ["parallel", "parallel"]}
        ins(%x, %max : memref<64x128xf32>, memref<64xf32>) outs(%e : memref<64x128xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %0 = arith.subf %a, %b : f32
      %1 = math.exp %0 {dlc.softmax} : f32
      linalg.yield %1 : f32
    }
    return
  }
  func.func private @sum(%e: memref<64x128xf32>, %y: memref<64xf32>) {
    linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
                    iterator_types = ["parallel", "reduction"]}
        ins(%e : memref<64x128xf32>) outs(%y : memref<64xf32>) {
    ^bb0(%a: f32, %b: f32):
      %0 = arith.addf %b, %a fastmath<reassoc> : f32
      linalg.yield %0 : f32
    }
    return
  }
}

// CHECK-LABEL: func.func private @rows_0
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<64x128xf32> {llvm.noalias}
// CHECK: scf.for %[[BLOCK:[a-z0-9]+]] = %c0{{.*}} to %c4
// CHECK: %[[FIRST:[a-z0-9]+]] = arith.muli %[[BLOCK]], %c16
// CHECK: memref.subview %[[X]][%[[FIRST]], 0] [16, 128]
// Four vectors at once.
// CHECK: scf.for %{{.*}} = %c0{{.*}} to %c128{{.*}} step %c32
// CHECK: vector.load {{.*}} vector<32xf32>
// CHECK-COUNT-4: arith.maximumf {{.*}} : vector<8xf32>
// CHECK: scf.yield
// CHECK: memref.subview %{{.*}}[0, 0] [16, 128]
// CHECK: scf.for %{{.*}} iter_args(%[[SUM:[a-z0-9]+]] = %{{.*}}, %[[LOW:[a-z0-9]+]] = %{{.*}})
// CHECK: %[[E:[0-9]+]] = math.exp
// CHECK: vector.store %[[E]]
// CHECK: %[[PART:[0-9]+]] = vector.shuffle %[[E]], %[[E]] [0, 1, 2, 3, 4, 5, 6, 7]
// CHECK: %[[NEXT:[0-9]+]] = arith.addf %[[SUM]], %[[PART]] : vector<8xf32>
// CHECK: %[[DONE:[0-9]+]] = arith.subf %[[NEXT]], %[[SUM]]
// CHECK: %[[LEFT:[0-9]+]] = arith.subf %[[PART]], %[[DONE]]
// CHECK: arith.addf %[[LOW]], %[[LEFT]]
// CHECK: scf.yield
// CHECK: arith.extf %{{.*}} : vector<8xf32> to vector<8xf64>
// CHECK: arith.truncf %{{.*}} : f64 to f32
// CHECK-NEXT: memref.store
// CHECK-NOT: linalg.
// CHECK: return

// With many registers eight vectors at once, where the maximum is near zero,
// and the input's next block is asked for, as all rows leave the cache; else
// one.
// WIDE: %[[SIZE:[0-9]+]] = math.absf
// WIDE: %[[NEAR:[0-9]+]] = arith.cmpf olt, %[[SIZE]], %cst{{.*}} : f32
// WIDE: scf.if %[[NEAR]]
// WIDE-COUNT-8: memref.prefetch %{{.*}}, read
// WIDE-NOT: memref.prefetch
// WIDE: math.exp %{{.*}} {dlc.near, dlc.softmax} : vector<128xf32>
// WIDE: } else {
// WIDE-NOT: memref.prefetch
// WIDE: math.exp %{{.*}} {dlc.softmax} : vector<16xf32>
