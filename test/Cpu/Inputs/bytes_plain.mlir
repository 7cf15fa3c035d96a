// A product of signed bytes for machines without dot products: in panels.
func.func @product(%x: memref<96x256xi8>, %w: memref<8x256x16xi8>, %o: memref<96x128xi32>) attributes {llvm.emit_c_interface} {
  dlc.contract %x, %w outs %o
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n floordiv 16, k, n mod 16)>, affine_map<(m, n, k) -> (m, n)>]
      : memref<96x256xi8>, memref<8x256x16xi8>, memref<96x128xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return
}
