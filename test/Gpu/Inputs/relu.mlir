module attributes {dlc.inputs = [{name = "x", type = tensor<32x64xf32>}], dlc.name = "relu",
                   dlc.outputs = [{name = "y", type = tensor<32x64xf32>}], dlc.workspace = 0} {
  func.func @main(%run: !llvm.ptr) -> i32 {
    %0 = dlc.input 0 : memref<32x64xf32>
    %1 = dlc.output 0 : memref<32x64xf32>
    call @relu(%0, %1) : (memref<32x64xf32>, memref<32x64xf32>) -> ()
    %c0 = arith.constant 0 : i32
    return %c0 : i32
  }
  func.func private @relu(%a: memref<32x64xf32> {llvm.noalias}, %b: memref<32x64xf32> {llvm.noalias}) {
    %zero = arith.constant 0.0 : f32
    linalg.map ins(%a : memref<32x64xf32>) outs(%b : memref<32x64xf32>) (%x: f32, %o: f32) {
      %0 = arith.maximumf %x, %zero : f32
      linalg.yield %0 : f32
    }
    return
  }
}
