// RUN: dlc-opt %s -dlc-lower-contract -verify-diagnostics

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
