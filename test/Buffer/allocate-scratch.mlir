// RUN: dlc-opt %s --dlc-allocate-scratch --mlir-print-local-scope | FileCheck %s
// RUN: dlc-opt %s --dlc-allocate-scratch=limit=-1 --mlir-print-local-scope | FileCheck %s --check-prefix=ANY
// RUN: dlc-opt %s --dlc-allocate-scratch=limit=130 --mlir-print-local-scope | FileCheck %s --check-prefix=MORE

// Two equal convolutions. While the first one runs, %skip lives, too, and most
// of all: it gets as many tiles at a time as there is room for, or the fewest.
// Beside the second one there is room.
// CHECK-LABEL: func.func @main
// CHECK: dlc.contract
// CHECK-SAME: scratch %{{.*}} : memref<11520xf32>
// CHECK-SAME: tiles = 6>
// CHECK: dlc.contract
// CHECK-SAME: tiles = 24>
// ANY-LABEL: func.func @main
// ANY: tiles = 24>
// ANY: tiles = 24>
// MORE-LABEL: func.func @main
// MORE: dlc.contract
// MORE-SAME: tiles = 12>
// MORE: tiles = 24>
#a = affine_map<(n, y, x, o, i, j, c) -> (n, y + i, x + j, c)>
#b = affine_map<(n, y, x, o, i, j, c) -> (i, j, c, o)>
#c = affine_map<(n, y, x, o, i, j, c) -> (n, y, x, o)>
#form = #dlc.winograd<height = 4, width = 4, windowHeight = 3, windowWidth = 3, tiles = 24>
func.func @main(%run: !llvm.ptr, %w: memref<6x6x16x16xf32>, %y: memref<1x32x48x16xf32>) -> i32 {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %skip = memref.alloc() : memref<1x32x48x16xf32>
  %in = memref.alloc() : memref<1x34x50x16xf32>
  %out = memref.alloc() : memref<1x34x50x16xf32>
  %inner = memref.subview %out[0, 1, 1, 0] [1, 32, 48, 16] [1, 1, 1, 1]
      : memref<1x34x50x16xf32> to memref<1x32x48x16xf32, strided<[27200, 800, 16, 1], offset: 816>>
  linalg.fill ins(%zero : f32) outs(%skip : memref<1x32x48x16xf32>)
  linalg.fill ins(%zero : f32) outs(%in : memref<1x34x50x16xf32>)
  dlc.contract %in, %w outs %inner [#a, #b, #c] {winograd = #form}
      : memref<1x34x50x16xf32>, memref<6x6x16x16xf32>, memref<1x32x48x16xf32, strided<[27200, 800, 16, 1], offset: 816>> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  linalg.copy ins(%skip : memref<1x32x48x16xf32>) outs(%inner : memref<1x32x48x16xf32, strided<[27200, 800, 16, 1], offset: 816>>)
  dlc.contract %out, %w outs %y [#a, #b, #c] {winograd = #form}
      : memref<1x34x50x16xf32>, memref<6x6x16x16xf32>, memref<1x32x48x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %c0 : i32
}
