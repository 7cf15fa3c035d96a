// RUN: dlc-opt %s --dlc-reduce-columns=vector-bytes=32 --canonicalize --split-input-file | FileCheck %s

// A pool: the window's steps are unrolled between one load and one store of each
// vector of results; what doesn't fill a vector is masked.

#x = affine_map<(y, x, i, j, c) -> (y * 2 + i, x * 2 + j, c)>
#w = affine_map<(y, x, i, j, c) -> (i, j)>
#y = affine_map<(y, x, i, j, c) -> (y, x, c)>

// CHECK-LABEL: func.func @pool
// CHECK-SAME:    (%[[X:.*]]: memref<9x9x20xf32>, %{{.*}}: memref<3x3xf32>, %[[Y:.*]]: memref<4x4x20xf32>)
func.func @pool(%x: memref<9x9x20xf32>, %window: memref<3x3xf32>, %y: memref<4x4x20xf32>) {
  // CHECK: scf.for %[[I:.*]] = %c0{{.*}} to %c4
  // CHECK: scf.for %[[J:.*]] = %c0{{.*}} to %c4
  // CHECK-COUNT-2: vector.load %[[Y]][%[[I]], %[[J]],
  // CHECK-NOT: vector.store
  // CHECK-COUNT-18: arith.maximumf %{{.*}} : vector<8xf32>
  // CHECK-COUNT-2: vector.store %{{.*}}, %[[Y]][%[[I]], %[[J]],
  // CHECK: vector.maskedload %[[Y]][%[[I]], %[[J]], %c16]
  // CHECK-COUNT-9: arith.maximumf %{{.*}} : vector<8xf32>
  // CHECK: vector.maskedstore %[[Y]][%[[I]], %[[J]], %c16]
  linalg.generic {indexing_maps = [#x, #w, #y],
                  iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel"]}
      ins(%x, %window : memref<9x9x20xf32>, memref<3x3xf32>) outs(%y : memref<4x4x20xf32>) {
  ^bb0(%a: f32, %w: f32, %b: f32):
    %0 = arith.maximumf %b, %a : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// Unknown sizes: vectors, then element by element. A scalar is spread.

// CHECK-LABEL: func.func @dynamic
func.func @dynamic(%x: memref<?x?xf16>, %s: memref<?xf16>, %y: memref<?xf16>) {
  // CHECK: scf.for %{{.*}} step %c64
  // CHECK: scf.for %[[I:.*]] = %c0{{.*}} iter_args(%{{.*}}) -> (vector<16xf16>, vector<16xf16>, vector<16xf16>, vector<16xf16>)
  // CHECK: memref.load %{{.*}}[%[[I]]]
  // CHECK: scf.for %{{.*}} step %c16
  // CHECK: scf.for %{{.*}} step %c1
  // CHECK: vector.load %{{.*}} : memref<?xf16>, vector<1xf16>
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>,
                                   affine_map<(i, j) -> (j)>],
                  iterator_types = ["reduction", "parallel"]}
      ins(%x, %s : memref<?x?xf16>, memref<?xf16>) outs(%y : memref<?xf16>) {
  ^bb0(%a: f16, %b: f16, %c: f16):
    %0 = arith.mulf %a, %b : f16
    %1 = arith.addf %c, %0 : f16
    linalg.yield %1 : f16
  }
  return
}

// -----

// Reductions along the innermost loop, strided results, and positions in the
// body stay as they are.

// CHECK-LABEL: func.func @others
func.func @others(%x: memref<8x64xf32>, %row: memref<8xf32>,
                  %y: memref<64xf32, strided<[2]>>, %z: memref<64xindex>) {
  // CHECK-COUNT-3: linalg.generic
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
                  iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<8x64xf32>) outs(%row : memref<8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>],
                  iterator_types = ["reduction", "parallel"]}
      ins(%x : memref<8x64xf32>) outs(%y : memref<64xf32, strided<[2]>>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>],
                  iterator_types = ["reduction", "parallel"]}
      ins(%x : memref<8x64xf32>) outs(%z : memref<64xindex>) {
  ^bb0(%a: f32, %b: index):
    %0 = linalg.index 0 : index
    linalg.yield %0 : index
  }
  return
}
