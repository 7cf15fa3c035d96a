// RUN: dlc-opt %s -dlc-lower-contract -split-input-file -verify-diagnostics
// RUN: not dlc-opt %s -dlc-lower-contract=pairs=best -split-input-file 2>&1 | FileCheck %s --check-prefix=PAIRS

// PAIRS: dlc-lower-contract: expected pairs=none, tdpbf16ps, vdpbf16ps, bfdot or bfmmla, found 'best'

func.func @tensors(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>, %e: tensor<4x16xf32>) -> tensor<4x16xf32> {
  // expected-error @below {{expected a contraction of memrefs: bufferize first}}
  %0 = dlc.contract %x, %w outs %e
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<4x16xf32>
}

// -----

func.func @scratch(%x: memref<1x10x10x4xf32>, %w: memref<6x6x4x8xf32>, %y: memref<1x8x8x8xf32>) {
  // expected-error @below {{expected scratch memory for Winograd's or Fourier's form of a convolution: run dlc-allocate-scratch first}}
  dlc.contract %x, %w outs %y
      [affine_map<(n, y, x, o, i, j, c) -> (n, y + i, x + j, c)>,
       affine_map<(n, y, x, o, i, j, c) -> (i, j, c, o)>,
       affine_map<(n, y, x, o, i, j, c) -> (n, y, x, o)>]
      {winograd = #dlc.winograd<height = 4, width = 4, windowHeight = 3, windowWidth = 3, tiles = 4>}
      : memref<1x10x10x4xf32>, memref<6x6x4x8xf32>, memref<1x8x8x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @attention(%q: memref<6x4xf32>, %k: memref<8x4xf32>, %v: memref<8x4xf32>, %o: memref<6x4xf32>) {
  // expected-error @below {{expected attention with scratch memory: run dlc-allocate-scratch or dlc-decompose-attention first}}
  dlc.attention %q, %k, %v outs %o
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : memref<6x4xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}
