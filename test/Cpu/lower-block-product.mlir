// RUN: dlc-opt %s --dlc-lower-block-product="vector-bytes=32 registers=16 fma=true" --split-input-file | FileCheck %s
// RUN: dlc-opt %s --dlc-lower-block-product="vector-bytes=32 registers=16 fma=true threads=true" --split-input-file | FileCheck %s --check-prefix=THREADS

// Weights are read as vectors of bytes; their numbers are floats in registers.
// Four rows share them, then single ones have sums for each number of a byte.

#bytes = affine_map<(m, p, b, j, c) -> (p, b, j, c)>
#scales = affine_map<(m, p, b, j, c) -> (p, b, c)>
#a = affine_map<(m, p, b, j, c) -> (m, b, j)>
#y = affine_map<(m, p, b, j, c) -> (m, p, c)>

// CHECK-LABEL: @product
// CHECK-NOT: linalg.generic
// CHECK: scf.for %{{.*}} = %c0{{.*}} step %c4
// CHECK: %[[W:.*]] = vector.load %arg0[{{.*}}] : memref<4x2x16x64xi8>, vector<8xi8>
// CHECK: arith.extui %[[W]] : vector<8xi8> to vector<8xi32>
// CHECK: arith.andi
// CHECK: arith.sitofp
// CHECK: math.fma
// CHECK: vector.load %arg1[{{.*}}] : memref<4x2x64xf32>, vector<8xf32>
// CHECK: vector.store %{{.*}}, %arg4
// THREADS-LABEL: @product
// THREADS: dlc.parallel
func.func @product(%bytes: memref<4x2x16x64xi8>, %scales: memref<4x2x64xf32>, %low: memref<64x2x16xf32, strided<[64, 32, 2]>>, %high: memref<64x2x16xf32>, %y: memref<64x4x64xf32>) {
  %c15 = arith.constant 15 : i32
  %c4 = arith.constant 4 : i32
  %z = arith.constant 8.0 : f32
  linalg.generic {indexing_maps = [#bytes, #scales, #a, #a, #y],
      iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel"],
      library_call = "dlc_block_product"}
      ins(%bytes, %scales, %low, %high : memref<4x2x16x64xi8>, memref<4x2x64xf32>, memref<64x2x16xf32, strided<[64, 32, 2]>>, memref<64x2x16xf32>)
      outs(%y : memref<64x4x64xf32>) attrs = {dlc.block_zero = 8 : i64} {
  ^bb0(%w: i8, %s: f32, %a: f32, %b: f32, %sum: f32):
    linalg.yield %sum : f32
  }
  return
}

// -----

// Columns that aren't side by side in memory stay loops, and so does what has
// another name.

#bytes = affine_map<(m, p, b, j, c) -> (p, b, j, c)>
#scales = affine_map<(m, p, b, j, c) -> (p, b, c)>
#a = affine_map<(m, p, b, j, c) -> (m, b, j)>
#y = affine_map<(m, p, b, j, c) -> (m, p, c)>

// CHECK-LABEL: @strided
// CHECK: linalg.generic
// CHECK: linalg.generic
func.func @strided(%bytes: memref<4x2x16x64xi8>, %scales: memref<4x2x64xf32, strided<[256, 128, 2]>>, %dense: memref<4x2x64xf32>, %a: memref<1x2x16xf32>, %y: memref<1x4x64xf32>) {
  linalg.generic {indexing_maps = [#bytes, #scales, #a, #y],
      iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel"],
      library_call = "dlc_block_product"}
      ins(%bytes, %scales, %a : memref<4x2x16x64xi8>, memref<4x2x64xf32, strided<[256, 128, 2]>>, memref<1x2x16xf32>)
      outs(%y : memref<1x4x64xf32>) attrs = {dlc.block_zero = 8 : i64} {
  ^bb0(%w: i8, %s: f32, %x: f32, %sum: f32):
    linalg.yield %sum : f32
  }
  linalg.generic {indexing_maps = [#bytes, #scales, #a, #y],
      iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel"]}
      ins(%bytes, %dense, %a : memref<4x2x16x64xi8>, memref<4x2x64xf32>, memref<1x2x16xf32>)
      outs(%y : memref<1x4x64xf32>) {
  ^bb0(%w: i8, %s: f32, %x: f32, %sum: f32):
    linalg.yield %sum : f32
  }
  return
}
