// RUN: dlc-opt %s --dlc-collapse-loops --split-input-file | FileCheck %s

#x = affine_map<(i, j, k) -> (i, j, k)>
#n = affine_map<(i, j, k) -> ()>
// CHECK-LABEL: func.func @whole
// CHECK:       %[[X:.*]] = memref.collapse_shape %{{.*}} {{\[}}[0, 1, 2]] : memref<14x14x1024xf32> into memref<200704xf32>
// CHECK:       linalg.generic {{.*}} iterator_types = ["reduction"]} ins(%[[X]] : memref<200704xf32>) outs(%{{.*}} : memref<f32>)
// CHECK:       arith.minimumf
func.func @whole(%x: memref<14x14x1024xf32>, %y: memref<f32>) {
  linalg.generic {indexing_maps = [#x, #n], iterator_types = ["reduction", "reduction", "reduction"]}
      ins(%x : memref<14x14x1024xf32>) outs(%y : memref<f32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.minimumf %b, %a : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// A border lies between the rows.
#x = affine_map<(i, j, k) -> (i, j, k)>
#n = affine_map<(i, j, k) -> ()>
// CHECK-LABEL: func.func @border
// CHECK:       %[[X:.*]] = memref.collapse_shape %{{.*}} {{\[}}[0], [1, 2]]
// CHECK-SAME:      into memref<14x3584xf32, strided<[4096, 1], offset: 4352>>
// CHECK:       linalg.generic {{.*}} iterator_types = ["reduction", "reduction"]} ins(%[[X]]
func.func @border(%x: memref<14x14x256xf32, strided<[4096, 256, 1], offset: 4352>>, %y: memref<f32>) {
  linalg.generic {indexing_maps = [#x, #n], iterator_types = ["reduction", "reduction", "reduction"]}
      ins(%x : memref<14x14x256xf32, strided<[4096, 256, 1], offset: 4352>>) outs(%y : memref<f32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %b, %a : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// The mean of images: what is behind stays; two operands; sizes of the run.
#x = affine_map<(n, c, i, j) -> (n, i, j, c)>
#z = affine_map<(n, c, i, j) -> (i, j)>
#y = affine_map<(n, c, i, j) -> (n, c)>
// CHECK-LABEL: func.func @image
// CHECK-SAME:  (%[[X:.*]]: memref<?x?x?x64xf32>, %[[Z:.*]]: memref<?x?xf32>, %[[Y:.*]]: memref<?x64xf32>)
// CHECK-DAG:   %[[A:.*]] = memref.collapse_shape %[[X]] {{\[}}[0], [1, 2], [3]]
// CHECK-DAG:   %[[B:.*]] = memref.collapse_shape %[[Z]] {{\[}}[0, 1]]
// CHECK:       linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]}
// CHECK-SAME:      ins(%[[A]], %[[B]] : {{.*}}) outs(%[[Y]] :
func.func @image(%x: memref<?x?x?x64xf32>, %z: memref<?x?xf32>, %y: memref<?x64xf32>) {
  linalg.generic {indexing_maps = [#x, #z, #y], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%x, %z : memref<?x?x?x64xf32>, memref<?x?xf32>) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %c, %0 : f32
    linalg.yield %1 : f32
  }
  return
}

// -----

// One operand has them in another order; a window has no dimension of its own;
// an index would be another one.
#ij = affine_map<(i, j) -> (i, j)>
#ji = affine_map<(i, j) -> (j, i)>
#w = affine_map<(o, i, j) -> (o + i, j)>
#k = affine_map<(o, i, j) -> (i, j)>
#o = affine_map<(o, i, j) -> (o)>
#n = affine_map<(i, j) -> ()>
// CHECK-LABEL: func.func @others
// CHECK-NOT:   memref.collapse_shape
func.func @others(%x: memref<4x8xf32>, %z: memref<8x4xf32>, %k: memref<3x8xf32>, %o: memref<2xf32>,
                  %y: memref<f32>, %p: memref<index>) {
  linalg.generic {indexing_maps = [#ij, #ji, #n], iterator_types = ["reduction", "reduction"]}
      ins(%x, %z : memref<4x8xf32>, memref<8x4xf32>) outs(%y : memref<f32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %c, %0 : f32
    linalg.yield %1 : f32
  }
  linalg.generic {indexing_maps = [#w, #k, #o], iterator_types = ["parallel", "reduction", "reduction"]}
      ins(%x, %k : memref<4x8xf32>, memref<3x8xf32>) outs(%o : memref<2xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.maximumf %c, %a : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [#ij, #n], iterator_types = ["reduction", "reduction"]}
      ins(%x : memref<4x8xf32>) outs(%p : memref<index>) {
  ^bb0(%a: f32, %b: index):
    %i = linalg.index 1 : index
    %0 = arith.maxui %b, %i : index
    linalg.yield %0 : index
  }
  return
}

// -----

// An image of channels in front to one of channels behind.
// CHECK-LABEL: func.func @image_copy
// CHECK-DAG:   %[[X:.*]] = memref.collapse_shape %{{.*}} {{\[}}[0], [1], [2, 3]] : memref<1x24x7x7xf32> into memref<1x24x49xf32>
// CHECK-DAG:   %[[Y:.*]] = memref.collapse_shape %{{.*}} {{\[}}[0], [1, 2], [3]] : memref<1x7x7x24xf32> into memref<1x49x24xf32>
// CHECK:       linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel"]} ins(%[[X]] : {{.*}}) outs(%[[Y]] :
func.func @image_copy(%x: memref<1x24x7x7xf32>, %y: memref<1x7x7x24xf32>) {
  linalg.transpose ins(%x : memref<1x24x7x7xf32>) outs(%y : memref<1x7x7x24xf32>) permutation = [0, 2, 3, 1]
  return
}

// -----

// What computes keeps its loops.
#map = affine_map<(i, j) -> (i, j)>
// CHECK-LABEL: func.func @elementwise
// CHECK-NOT:   memref.collapse_shape
func.func @elementwise(%x: memref<4x8xf32>, %y: memref<4x8xf32>) {
  linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<4x8xf32>) outs(%y : memref<4x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.negf %a : f32
    linalg.yield %0 : f32
  }
  return
}
