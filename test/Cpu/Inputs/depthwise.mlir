// 5x5 channel by channel, without the zeros around.
func.func @depthwise(%x: memref<1x6x80x64xf32>, %w: memref<5x5x64xf32>, %bias: memref<64xf32>, %y: memref<1x6x80x64xf32>) {
  dlc.contract %x, %w extras %bias : memref<64xf32> outs %y
      [affine_map<(n, h, w, c, i, j) -> (n, h + i - 2, w + j - 2, c)>, affine_map<(n, h, w, c, i, j) -> (i, j, c)>,
       affine_map<(n, h, w, c, i, j) -> (c)>, affine_map<(n, h, w, c, i, j) -> (n, h, w, c)>]
      {zeroOutside = array<i64: 1, 2>}
      : memref<1x6x80x64xf32>, memref<5x5x64xf32>, memref<1x6x80x64xf32> {
  ^bb0(%sum: f32, %b: f32):
    %0 = arith.addf %sum, %b : f32
    dlc.yield %0 : f32
  }
  return
}
