// RUN: dlc-opt %s --dlc-map-kernels --split-input-file --verify-diagnostics

func.func @main(%run: !llvm.ptr) -> i32 {
  %0 = dlc.input 0 : memref<4xf32>
  call @empty(%0) : (memref<4xf32>) -> ()
  %s = arith.constant 0 : i32
  return %s : i32
}
// expected-error @below {{expected a linalg op, a contraction or an attention in 'empty'}}
func.func private @empty(%x: memref<4xf32>) {
  return
}

// -----

#a = affine_map<(n, y, x, c, i, j, k) -> (n, y + i, x + j, k)>
#b = affine_map<(n, y, x, c, i, j, k) -> (i, j, k, c)>
#c = affine_map<(n, y, x, c, i, j, k) -> (n, y, x, c)>
func.func @main(%run: !llvm.ptr) -> i32 {
  %0 = dlc.input 0 : memref<1x10x10x4xf32>
  %1 = dlc.weight 0 : memref<6x6x4x64xf32>
  %2 = dlc.output 0 : memref<1x8x8x64xf32>
  call @conv(%0, %1, %2) : (memref<1x10x10x4xf32>, memref<6x6x4x64xf32>, memref<1x8x8x64xf32>) -> ()
  %s = arith.constant 0 : i32
  return %s : i32
}
func.func private @conv(%x: memref<1x10x10x4xf32>, %w: memref<6x6x4x64xf32>, %z: memref<1x8x8x64xf32>) {
  // expected-error @below {{expected a direct convolution for a GPU, found Winograd's form}}
  dlc.contract %x, %w outs %z [#a, #b, #c] {winograd = #dlc.winograd<height = 4, width = 4, windowHeight = 3, windowWidth = 3, tiles = 4>}
      : memref<1x10x10x4xf32>, memref<6x6x4x64xf32>, memref<1x8x8x64xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}

// -----

#a = affine_map<(n, y, x, c, i, j) -> (n, y + i - 1, x + j - 1, c)>
#b = affine_map<(n, y, x, c, i, j) -> (i, j, c)>
#c = affine_map<(n, y, x, c, i, j) -> (n, y, x, c)>
func.func @main(%run: !llvm.ptr) -> i32 {
  %0 = dlc.input 0 : memref<1x8x8x4xf32>
  %1 = dlc.weight 0 : memref<3x3x4xf32>
  %2 = dlc.output 0 : memref<1x8x8x4xf32>
  call @conv(%0, %1, %2) : (memref<1x8x8x4xf32>, memref<3x3x4xf32>, memref<1x8x8x4xf32>) -> ()
  %s = arith.constant 0 : i32
  return %s : i32
}
func.func private @conv(%x: memref<1x8x8x4xf32>, %w: memref<3x3x4xf32>, %z: memref<1x8x8x4xf32>) {
  // expected-error @below {{expected the zeros around a convolution's input in memory for a GPU, found zeroOutside}}
  dlc.contract %x, %w outs %z [#a, #b, #c] {zeroOutside = array<i64: 1, 2>}
      : memref<1x8x8x4xf32>, memref<3x3x4xf32>, memref<1x8x8x4xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}
