// RUN: dlc-opt %s --dlc-share-loops --canonicalize --split-input-file | FileCheck %s

// Rows in blocks of units that take long enough; the loop of columns stays.

// CHECK-LABEL: func.func @rows
// CHECK-SAME:    (%[[X:.*]]: memref<512x700xf32>,
func.func @rows(%x: memref<512x700xf32>, %y: memref<512x700xf32>) {
  // CHECK: dlc.parallel %[[COUNT:.*]] grain 3 {
  // CHECK: ^bb0(%[[FIRST:.*]]: index, %[[END:.*]]: index, %{{.*}}: !llvm.ptr, %{{.*}}: index):
  // CHECK: scf.for %[[UNIT:.*]] = %[[FIRST]] to %[[END]]
  // CHECK: %[[FROM:.*]] = arith.muli %[[UNIT]]
  // CHECK: %[[TO:.*]] = arith.minsi
  // CHECK: scf.for %[[I:.*]] = %[[FROM]] to %[[TO]] step
  // CHECK: scf.for %[[J:.*]] = %c0{{.*}} to %c700
  // CHECK: memref.load %[[X]][%[[I]], %[[J]]]
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
                  iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<512x700xf32>) outs(%y : memref<512x700xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = math.exp %a : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// The outer loop is a sum: the inner one is split, in whole vectors, which stay
// in registers.

// CHECK-LABEL: func.func @columns
func.func @columns(%x: memref<512x700xf32>, %y: memref<700xf32>) {
  // CHECK: dlc.parallel
  // CHECK: scf.for %[[UNIT:.*]] =
  // CHECK: %[[FROM:.*]] = arith.muli %[[UNIT]], %c64
  // CHECK: scf.for %{{.*}} = %[[FROM]] to %{{.*}} step %c32
  // CHECK-COUNT-4: vector.load
  // CHECK: scf.for %{{.*}} = %c0{{.*}} to %c512
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>],
                  iterator_types = ["reduction", "parallel"]}
      ins(%x : memref<512x700xf32>) outs(%y : memref<700xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// A sum alone, too little work, and a body that writes stay as they are.

// CHECK-LABEL: func.func @others
func.func @others(%x: memref<51200xf32>, %sum: memref<f32>, %y: memref<64xf32>, %z: memref<51200xf32>) {
  // CHECK-NOT: dlc.parallel
  // CHECK: linalg.generic
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>],
                  iterator_types = ["reduction"]}
      ins(%x : memref<51200xf32>) outs(%sum : memref<f32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  // CHECK: linalg.fill
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<64xf32>)
  // CHECK: linalg.generic
  %first = arith.constant 0 : index
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
                  iterator_types = ["parallel"]}
      ins(%x : memref<51200xf32>) outs(%z : memref<51200xf32>) {
  ^bb0(%a: f32, %b: f32):
    memref.store %a, %y[%first] : memref<64xf32>
    linalg.yield %a : f32
  }
  return
}
