// A product of signed bytes by signed bytes for instructions that take
// unsigned ones on the left.
func.func @product(%x: memref<96x256xi8>, %w: memref<2x64x64x4xi8>, %o: memref<96x128xi32>) attributes {llvm.emit_c_interface} {
  dlc.contract %x, %w outs %o
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n floordiv 64, k floordiv 4, n mod 64, k mod 4)>, affine_map<(m, n, k) -> (m, n)>]
      {aUnsigned, dot = #dlc.dot<flip = true, group = 4, extent = 256>}
      : memref<96x256xi8>, memref<2x64x64x4xi8>, memref<96x128xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return
}
