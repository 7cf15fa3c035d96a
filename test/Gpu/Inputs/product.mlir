#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
module attributes {dlc.inputs = [{name = "x", type = tensor<2048x2048xTYPE>}, {name = "y", type = tensor<2048x2048xTYPE>}],
                   dlc.name = "product", dlc.outputs = [{name = "z", type = tensor<2048x2048xTYPE>}], dlc.workspace = 0} {
  func.func @main(%run: !llvm.ptr) -> i32 {
    %0 = dlc.input 0 : memref<2048x2048xTYPE>
    %1 = dlc.input 1 : memref<2048x2048xTYPE>
    %2 = dlc.output 0 : memref<2048x2048xTYPE>
    call @product(%0, %1, %2) : (memref<2048x2048xTYPE>, memref<2048x2048xTYPE>, memref<2048x2048xTYPE>) -> ()
    %c0 = arith.constant 0 : i32
    return %c0 : i32
  }
  func.func private @product(%x: memref<2048x2048xTYPE> {llvm.noalias}, %y: memref<2048x2048xTYPE> {llvm.noalias},
                             %z: memref<2048x2048xTYPE> {llvm.noalias}) {
    dlc.contract %x, %y outs %z [#a, #b, #c] ATTRIBUTES : memref<2048x2048xTYPE>, memref<2048x2048xTYPE>, memref<2048x2048xTYPE> {
    ^bb0(%sum: f32):
      FINISH
    }
    return
  }
}
