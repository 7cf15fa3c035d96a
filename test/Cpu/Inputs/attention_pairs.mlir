// Attention of bfloat16 whose products are those of tiles: the memory is what
// dlc-allocate-scratch gives it.
module attributes {dlti.dl_spec = #dlti.dl_spec<index = 64 : i32>} {
func.func @attention(%q: memref<12x128x64xbf16>, %k: memref<12x128x64xbf16>, %v: memref<12x128x64xbf16>, %o: memref<12x128x64xf32>, %s: memref<84032xi8>) attributes {llvm.emit_c_interface} {
  dlc.attention %q, %k, %v outs %o scratch %s : memref<84032xi8>
      [affine_map<(b, m, n, k, c) -> (b, m, k)>, affine_map<(b, m, n, k, c) -> (b, n, k)>,
       affine_map<(b, m, n, k, c) -> (b, n, c)>, affine_map<(b, m, n, k, c) -> (b, m, c)>]
      {precision = 1 : i32, tile = array<i64: 128, 128>, dlc.matrix_tiles}
      : memref<12x128x64xbf16>, memref<12x128x64xbf16>, memref<12x128x64xbf16>, memref<12x128x64xf32> {
  ^bb0(%score: f32):
    %quarter = arith.constant 0.125 : f32
    %0 = arith.mulf %score, %quarter : f32
    dlc.yield %0 : f32
  }, {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}
}
