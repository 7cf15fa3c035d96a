// A 3x3 convolution of 14x14 outputs: tiles of rows run across image lines.
func.func @conv(%x: memref<1x16x16x256xf32>, %w: memref<4x3x3x256x64xf32>, %o: memref<1x14x14x256xf32>) attributes {llvm.emit_c_interface} {
  dlc.contract %x, %w outs %o
      [affine_map<(n, h, w, m, i, j, c) -> (n, h + i, w + j, c)>,
       affine_map<(n, h, w, m, i, j, c) -> (m floordiv 64, i, j, c, m mod 64)>,
       affine_map<(n, h, w, m, i, j, c) -> (n, h, w, m)>]
      : memref<1x16x16x256xf32>, memref<4x3x3x256x64xf32>, memref<1x14x14x256xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}
