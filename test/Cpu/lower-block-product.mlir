// RUN: dlc-opt %s --dlc-lower-block-product="vector-bytes=32 registers=16 fma=true" --split-input-file | FileCheck %s
// RUN: dlc-opt %s --dlc-lower-block-product="vector-bytes=32 registers=16 fma=true threads=true" --split-input-file | FileCheck %s --check-prefix=THREADS
// RUN: dlc-opt %s --dlc-lower-block-product="vector-bytes=64 registers=32 fma=true dot=vnni dot-bytes=64" --split-input-file | FileCheck %s --check-prefix=DOT
// RUN: dlc-opt %s --dlc-lower-block-product="vector-bytes=64 registers=32 fma=true" --split-input-file | FileCheck %s --check-prefix=WIDE
// RUN: not dlc-opt %s --dlc-lower-block-product="dot=best" --split-input-file 2>&1 | FileCheck %s --check-prefix=WRONG

// WRONG: error: dlc-lower-block-product: expected dot=none, vnni, madd, sdot or i8mm, found 'best'

// Of many rows the weights become real once, in a buffer of each thread, which
// tiles of rows read; with 512 bits a first tile is multiplied on the way. With
// dot products 8 rows at a time have digits.

#bytes = affine_map<(m, p, b, g, c, t, i) -> (p, b, g, c, t)>
#scales = affine_map<(m, p, b, g, c, t, i) -> (p, b, c)>
#a = affine_map<(m, p, b, g, c, t, i) -> (m, b, g, t, i)>
#y = affine_map<(m, p, b, g, c, t, i) -> (m, p, c)>

// CHECK-LABEL: @product
// CHECK-NOT: linalg.generic
// CHECK: %[[BUFFER:.*]] = memref.alloca() {alignment = 64 : i64} : memref<64x16xf32>
// CHECK: %[[W:.*]] = vector.load %{{.*}}[{{.*}}] : memref<4x2x4x256xi8>, vector<32xi8>
// CHECK: vector.bitcast %[[W]] : vector<32xi8> to vector<8xi32>
// CHECK: memref.prefetch
// CHECK: arith.andi
// CHECK: arith.sitofp
// CHECK: %[[REAL:.*]] = math.fma
// CHECK: vector.store %[[REAL]], %[[BUFFER]]
// CHECK: scf.for %{{.*}} = %c0{{.*}} to %c60{{.*}} step %c6
// CHECK: vector.load %[[BUFFER]]
// CHECK-NOT: arith.sitofp
// CHECK: vector.store %{{.*}}, %arg3
// WIDE-LABEL: @product
// WIDE: memref.prefetch
// WIDE: %[[Q:.*]] = math.fma
// WIDE: vector.store %[[Q]], %alloca
// WIDE: math.fma %{{.*}}, %[[Q]], %
// DOT-LABEL: @product
// DOT: memref.alloca() {alignment = 64 : i64} : memref<8x2x4x24xi8>
// DOT: scf.for %[[ROW:.*]] = %c0{{.*}} to %c64{{.*}} step %c8
// DOT: memref.subview %arg2[%[[ROW]], 0, 0, 0, 0] [8, 2, 4, 4, 2]
// DOT: scf.if
// DOT: memref.prefetch
// DOT: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// THREADS-LABEL: @product
// THREADS: dlc.parallel
// THREADS-NEXT: ^bb0
// THREADS: memref.alloca
// THREADS: scf.for
func.func @product(%bytes: memref<4x2x4x64x4xi8>, %scales: memref<4x2x64xf32>, %a: memref<64x2x4x4x2xf32>, %y: memref<64x4x64xf32>) {
  %c15 = arith.constant 15 : i32
  %c4 = arith.constant 4 : i32
  %z = arith.constant 8.0 : f32
  linalg.generic {indexing_maps = [#bytes, #scales, #a, #y],
      iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel", "reduction", "reduction"],
      library_call = "dlc_block_product"}
      ins(%bytes, %scales, %a : memref<4x2x4x64x4xi8>, memref<4x2x64xf32>, memref<64x2x4x4x2xf32>)
      outs(%y : memref<64x4x64xf32>) attrs = {dlc.block_zero = 8 : i64} {
  ^bb0(%w: i8, %s: f32, %x: f32, %sum: f32):
    linalg.yield %sum : f32
  }
  return
}

// -----

// Few rows share the weights four at a time, real in registers only; then
// single ones have sums for each number of a byte.

#bytes = affine_map<(m, p, b, g, c, t, i) -> (p, b, g, c, t)>
#scales = affine_map<(m, p, b, g, c, t, i) -> (p, b, c)>
#a = affine_map<(m, p, b, g, c, t, i) -> (m, b, g, t, i)>
#y = affine_map<(m, p, b, g, c, t, i) -> (m, p, c)>

// DOT-LABEL: @few
// CHECK-LABEL: @few
// CHECK-NOT: linalg.generic
// CHECK-NOT: memref.alloca
// CHECK: scf.for %{{.*}} = %c0{{.*}} to %c4{{.*}} step %c4
// CHECK: %[[W:.*]] = vector.load %{{.*}}[{{.*}}] : memref<4x2x4x256xi8>, vector<32xi8>
// CHECK: vector.bitcast %[[W]] : vector<32xi8> to vector<8xi32>
// CHECK: arith.andi
// CHECK: arith.sitofp
// CHECK: math.fma
// CHECK: vector.load %arg1[{{.*}}] : memref<4x2x64xf32>, vector<8xf32>
// CHECK: vector.store %{{.*}}, %arg3
func.func @few(%bytes: memref<4x2x4x64x4xi8>, %scales: memref<4x2x64xf32>, %a: memref<7x2x4x4x2xf32>, %y: memref<7x4x64xf32>) {
  %c15 = arith.constant 15 : i32
  %c4 = arith.constant 4 : i32
  %z = arith.constant 8.0 : f32
  linalg.generic {indexing_maps = [#bytes, #scales, #a, #y],
      iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel", "reduction", "reduction"],
      library_call = "dlc_block_product"}
      ins(%bytes, %scales, %a : memref<4x2x4x64x4xi8>, memref<4x2x64xf32>, memref<7x2x4x4x2xf32>)
      outs(%y : memref<7x4x64xf32>) attrs = {dlc.block_zero = 8 : i64} {
  ^bb0(%w: i8, %s: f32, %x: f32, %sum: f32):
    linalg.yield %sum : f32
  }
  return
}

// -----

// A number of rows that the run tells: digits or floats.

#bytes = affine_map<(m, p, b, g, c, t, i) -> (p, b, g, c, t)>
#scales = affine_map<(m, p, b, g, c, t, i) -> (p, b, c)>
#a = affine_map<(m, p, b, g, c, t, i) -> (m, b, g, t, i)>
#y = affine_map<(m, p, b, g, c, t, i) -> (m, p, c)>

// CHECK-LABEL: @unknown
// CHECK: arith.cmpi sle, %{{.*}}, %c7
// CHECK: scf.if
// CHECK: memref.prefetch
// DOT-LABEL: @unknown
// DOT: scf.for %[[ROW:.*]] = %c0{{.*}} to %{{.*}} step %c8
// DOT: %[[COUNT:.*]] = arith.minsi
// DOT: memref.subview %{{.*}}[%[[ROW]], 0, 0, 0, 0] [%[[COUNT]], 2, 4, 4, 2]
// DOT: scf.if
// DOT: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
func.func @unknown(%bytes: memref<4x2x4x64x4xi8>, %scales: memref<4x2x64xf32>, %a: memref<?x2x4x4x2xf32>, %y: memref<?x4x64xf32>) {
  %c15 = arith.constant 15 : i32
  %c4 = arith.constant 4 : i32
  %z = arith.constant 8.0 : f32
  linalg.generic {indexing_maps = [#bytes, #scales, #a, #y],
      iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel", "reduction", "reduction"],
      library_call = "dlc_block_product"}
      ins(%bytes, %scales, %a : memref<4x2x4x64x4xi8>, memref<4x2x64xf32>, memref<?x2x4x4x2xf32>)
      outs(%y : memref<?x4x64xf32>) attrs = {dlc.block_zero = 8 : i64} {
  ^bb0(%w: i8, %s: f32, %x: f32, %sum: f32):
    linalg.yield %sum : f32
  }
  return
}

// -----

// Columns that aren't side by side in memory stay loops, and so does what has
// another name.

#bytes = affine_map<(m, p, b, g, c, t, i) -> (p, b, g, c, t)>
#scales = affine_map<(m, p, b, g, c, t, i) -> (p, b, c)>
#a = affine_map<(m, p, b, g, c, t, i) -> (m, b, g, t, i)>
#y = affine_map<(m, p, b, g, c, t, i) -> (m, p, c)>

// CHECK-LABEL: @strided
// CHECK: linalg.generic
// CHECK: linalg.generic
func.func @strided(%bytes: memref<4x2x4x64x4xi8>, %scales: memref<4x2x64xf32, strided<[256, 128, 2]>>, %dense: memref<4x2x64xf32>, %a: memref<1x2x4x4x1xf32>, %y: memref<1x4x64xf32>) {
  linalg.generic {indexing_maps = [#bytes, #scales, #a, #y],
      iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel", "reduction", "reduction"],
      library_call = "dlc_block_product"}
      ins(%bytes, %scales, %a : memref<4x2x4x64x4xi8>, memref<4x2x64xf32, strided<[256, 128, 2]>>, memref<1x2x4x4x1xf32>)
      outs(%y : memref<1x4x64xf32>) attrs = {dlc.block_zero = 8 : i64} {
  ^bb0(%w: i8, %s: f32, %x: f32, %sum: f32):
    linalg.yield %sum : f32
  }
  linalg.generic {indexing_maps = [#bytes, #scales, #a, #y],
      iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel", "reduction", "reduction"]}
      ins(%bytes, %dense, %a : memref<4x2x4x64x4xi8>, memref<4x2x64xf32>, memref<1x2x4x4x1xf32>)
      outs(%y : memref<1x4x64xf32>) {
  ^bb0(%w: i8, %s: f32, %x: f32, %sum: f32):
    linalg.yield %sum : f32
  }
  return
}

// -----

// One row becomes digits, whose products with the weights are exact, unless it
// has numbers that digits cannot say.

#bytes = affine_map<(m, p, b, g, c, t, i) -> (p, b, g, c, t)>
#scales = affine_map<(m, p, b, g, c, t, i) -> (p, b, c)>
#a = affine_map<(m, p, b, g, c, t, i) -> (m, b, g, t, i)>
#y = affine_map<(m, p, b, g, c, t, i) -> (m, p, c)>

// CHECK-LABEL: @row
// CHECK-NOT: llvm.call_intrinsic
// DOT-LABEL: @row
// DOT: memref.alloca() {alignment = 64 : i64} : memref<1x2x4x24xi8>
// DOT: arith.maximumf
// DOT: math.roundeven %{{.*}} : vector<8xf32>
// DOT-COUNT-3: vector.store %{{.*}} : memref<1x2x4x24xi8>, vector<8xi8>
// DOT: scf.if
// DOT: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// DOT: } else {
// DOT-NOT: vpdpbusd
// DOT: math.fma
func.func @row(%bytes: memref<4x2x4x64x4xi8>, %scales: memref<4x2x64xf32>, %a: memref<1x2x4x4x2xf32>, %y: memref<1x4x64xf32>) {
  linalg.generic {indexing_maps = [#bytes, #scales, #a, #y],
      iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel", "reduction", "reduction"],
      library_call = "dlc_block_product"}
      ins(%bytes, %scales, %a : memref<4x2x4x64x4xi8>, memref<4x2x64xf32>, memref<1x2x4x4x2xf32>)
      outs(%y : memref<1x4x64xf32>) attrs = {dlc.block_zero = 8 : i64} {
  ^bb0(%w: i8, %s: f32, %x: f32, %sum: f32):
    linalg.yield %sum : f32
  }
  return
}
