// A product with packed weights.
func.func @product(%x: memref<96x256xf32>, %w: memref<2x256x64xf32>, %o: memref<96x128xf32>) attributes {llvm.emit_c_interface} {
  dlc.contract %x, %w outs %o
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n floordiv 64, k, n mod 64)>, affine_map<(m, n, k) -> (m, n)>]
      : memref<96x256xf32>, memref<2x256x64xf32>, memref<96x128xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}
