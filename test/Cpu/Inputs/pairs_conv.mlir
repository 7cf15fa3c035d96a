// A 3x3 convolution of bfloat16, 14x14 outputs: rows of a tile run across lines.
func.func @conv(%x: memref<1x16x16x256xbf16>, %w: memref<4x3x3x128x64x2xbf16>, %o: memref<1x14x14x256xf32>) attributes {llvm.emit_c_interface} {
  dlc.contract %x, %w outs %o
      [affine_map<(n, h, w, m, i, j, c) -> (n, h + i, w + j, c)>,
       affine_map<(n, h, w, m, i, j, c) -> (m floordiv 64, i, j, c floordiv 2, m mod 64, c mod 2)>,
       affine_map<(n, h, w, m, i, j, c) -> (n, h, w, m)>]
      {dot = #dlc.dot<flip = false, group = 2, extent = 256>}
      : memref<1x16x16x256xbf16>, memref<4x3x3x128x64x2xbf16>, memref<1x14x14x256xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}
