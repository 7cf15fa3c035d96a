// A product of signed bytes, in panels of 16 columns.
func.func @product(%x: memref<96x256xi8>, %w: memref<8x64x16x4xi8>, %o: memref<96x128xi32>) attributes {llvm.emit_c_interface} {
  dlc.contract %x, %w outs %o
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n floordiv 16, k floordiv 4, n mod 16, k mod 4)>, affine_map<(m, n, k) -> (m, n)>]
      {dot = #dlc.dot<flip = false, group = 4, extent = 256>}
      : memref<96x256xi8>, memref<8x64x16x4xi8>, memref<96x128xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return
}
