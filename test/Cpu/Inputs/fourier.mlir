// Tiles of 16x16 in Fourier's form, 382 products.
func.func @fourier(%x: memref<1x58x58x64xf32> {llvm.noalias}, %w: memref<382x1x64x64xf32> {llvm.noalias}, %o: memref<1x56x56x64xf32> {llvm.noalias}, %s: memref<1048576xf32> {llvm.noalias}) attributes {llvm.bareptr} {
  dlc.contract %x, %w outs %o scratch %s : memref<1048576xf32>
      [affine_map<(n, h, w, m, i, j, c) -> (n, h + i, w + j, c)>,
       affine_map<(n, h, w, m, i, j, c) -> (i, j, c, m)>,
       affine_map<(n, h, w, m, i, j, c) -> (n, h, w, m)>]
      {winograd = #dlc.winograd<height = 14, width = 14, windowHeight = 3, windowWidth = 3, tiles = 16, pair = 3>}
      : memref<1x58x58x64xf32>, memref<382x1x64x64xf32>, memref<1x56x56x64xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}
