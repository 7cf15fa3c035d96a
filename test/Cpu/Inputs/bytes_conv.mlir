// A 3x3 convolution of bytes, 14x14 outputs: rows of a tile run across lines.
func.func @conv(%x: memref<1x16x16x256xi8>, %w: memref<4x3x3x64x64x4xi8>, %o: memref<1x14x14x256xi32>) attributes {llvm.emit_c_interface} {
  dlc.contract %x, %w outs %o
      [affine_map<(n, h, w, m, i, j, c) -> (n, h + i, w + j, c)>,
       affine_map<(n, h, w, m, i, j, c) -> (m floordiv 64, i, j, c floordiv 4, m mod 64, c mod 4)>,
       affine_map<(n, h, w, m, i, j, c) -> (n, h, w, m)>]
      {aUnsigned, dot = #dlc.dot<flip = false, group = 4, extent = 256>}
      : memref<1x16x16x256xi8>, memref<4x3x3x64x64x4xi8>, memref<1x14x14x256xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return
}
