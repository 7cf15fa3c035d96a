// RUN: dlc-opt %s --dlc-lower-transpose=vector-bytes=32 --canonicalize --split-input-file | FileCheck %s
// RUN: dlc-opt %s --dlc-lower-transpose="vector-bytes=32 threads" --canonicalize --split-input-file | FileCheck %s --check-prefix=THREADS

// Blocks of 8 x 8; the last rows are done with some before them.
// CHECK-LABEL: func.func @square
// CHECK-SAME:  (%[[X:.*]]: memref<20x64xf32>, %[[Y:.*]]: memref<64x20xf32>)
// CHECK:       %[[R:.*]] = arith.minsi %{{.*}}, %c12
// CHECK-COUNT-8:  vector.load %[[X]][%{{.*}}, %{{.*}}] : memref<20x64xf32>, vector<8xf32>
// CHECK-COUNT-24: vector.shuffle {{.*}} : vector<8xf32>, vector<8xf32>
// CHECK-COUNT-8:  vector.store %{{.*}}, %[[Y]][%{{.*}}, %[[R]]] : memref<64x20xf32>, vector<8xf32>
// CHECK-NOT:   linalg
func.func @square(%x: memref<20x64xf32>, %y: memref<64x20xf32>) {
  linalg.transpose ins(%x : memref<20x64xf32>) outs(%y : memref<64x20xf32>) permutation = [1, 0]
  return
}

// -----

// Bytes: rows of 16, two of which become one vector. A view without what is 1.
// CHECK-LABEL: func.func @bytes
// CHECK:       %[[X:.*]] = memref.subview %{{.*}} : memref<64x1x64xi8> to memref<64x64xi8
// CHECK-COUNT-32: vector.load %[[X]]{{.*}}, vector<16xi8>
// CHECK-COUNT-64: vector.shuffle {{.*}} : vector<32xi8>, vector<32xi8>
// CHECK-COUNT-16: vector.store {{.*}} : memref<64x64xi8{{.*}}>, vector<32xi8>
func.func @bytes(%x: memref<64x1x64xi8>, %y: memref<64x64x1xi8>) {
  linalg.transpose ins(%x : memref<64x1x64xi8>) outs(%y : memref<64x64x1xi8>) permutation = [2, 0, 1]
  return
}

// -----

// Only the run knows whether there is a block.
// CHECK-LABEL: func.func @dynamic
// CHECK:       %[[A:.*]] = arith.cmpi sge, %{{.*}}, %c8
// CHECK:       %[[B:.*]] = arith.cmpi sge, %{{.*}}, %c8
// CHECK:       %[[C:.*]] = arith.andi %[[A]], %[[B]]
// CHECK:       scf.if %[[C]]
// CHECK:         vector.shuffle
// CHECK:       } else {
// CHECK:         memref.load
// CHECK-NEXT:    memref.store
func.func @dynamic(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  linalg.transpose ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>) permutation = [1, 0]
  return
}

// -----

// THREADS-LABEL: func.func @shared
// THREADS: dlc.parallel
// THREADS: vector.shuffle
func.func @shared(%x: memref<12x128x256xf32>, %y: memref<12x256x128xf32>) {
  linalg.transpose ins(%x : memref<12x128x256xf32>) outs(%y : memref<12x256x128xf32>) permutation = [0, 2, 1]
  return
}

// -----

// Rows that stay whole, 3 channels, elements of no width of a register's, what
// is more than a copy, and a border at the end of rows that are one element.
#map = affine_map<(i, j) -> (i, j)>
#turned = affine_map<(i, j) -> (j, i)>
// CHECK-LABEL: func.func @others
// CHECK-COUNT-4: linalg.transpose
// CHECK-COUNT-2: linalg.generic
// CHECK-NOT: vector
func.func @others(%a: memref<4x6x64xf32>, %b: memref<6x4x64xf32>, %c: memref<3x64xf32>, %d: memref<64x3xf32>,
                  %e: memref<64x64xi1>, %f: memref<64x64xi1>, %x: memref<64x64xf32>, %y: memref<64x64xf32>,
                  %s: memref<64x64xf32, strided<[128, 2]>>, %z: memref<64xf32>) {
  linalg.transpose ins(%a : memref<4x6x64xf32>) outs(%b : memref<6x4x64xf32>) permutation = [1, 0, 2]
  linalg.transpose ins(%c : memref<3x64xf32>) outs(%d : memref<64x3xf32>) permutation = [1, 0]
  linalg.transpose ins(%e : memref<64x64xi1>) outs(%f : memref<64x64xi1>) permutation = [1, 0]
  linalg.transpose ins(%s : memref<64x64xf32, strided<[128, 2]>>) outs(%y : memref<64x64xf32>) permutation = [1, 0]
  linalg.generic {indexing_maps = [#turned, #map], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x64xf32>) outs(%y : memref<64x64xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.negf %in : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j)>, #map], iterator_types = ["parallel", "parallel"]}
      ins(%z : memref<64xf32>) outs(%y : memref<64x64xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  }
  return
}
