module attributes {
  dlc.name = "names",
  dlc.inputs = [{name = "input.1", type = tensor<2xf32>},
                {name = "input/1", type = tensor<2xf64>},
                {name = "1x", type = tensor<2xi8>},
                {name = "class", type = tensor<2xui8>},
                {name = "", type = tensor<2xi64>},
                {name = "words", type = tensor<2x!dlc.string>},
                {name = "bf", type = tensor<2xbf16>},
                {name = "i4", type = tensor<2xi4>},
                {name = "c", type = tensor<2xcomplex<f32>>},
                {name = "a*/b", type = tensor<?x?xf32>, dims = ["n */", ""]},
                {name = "int64_t", type = tensor<?xf32>, dims = ["n2"]}],
  dlc.outputs = [{name = "y", type = tensor<1x!dlc.string>},
                 {name = "y_shape", type = tensor<1xf32>},
                 {name = "z", type = tensor<?xf32>}]
} {
  llvm.func @names_main(%ctx: !llvm.ptr) -> i32 {
    %ok = llvm.mlir.constant(0 : i32) : i32
    llvm.return %ok : i32
  }
}
