// A product of bfloat16, in panels and pairs.
func.func @product(%x: memref<96x256xbf16>, %w: memref<2x128x64x2xbf16>, %o: memref<96x128xf32>) attributes {llvm.emit_c_interface} {
  dlc.contract %x, %w outs %o
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n floordiv 64, k floordiv 2, n mod 64, k mod 2)>, affine_map<(m, n, k) -> (m, n)>]
      {dot = #dlc.dot<flip = false, group = 2, extent = 256>}
      : memref<96x256xbf16>, memref<2x128x64x2xbf16>, memref<96x128xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}
