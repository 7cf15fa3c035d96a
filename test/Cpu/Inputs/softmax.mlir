module attributes {dlc.name = "net", onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<256x1000xf32>) -> ("y") {
    %y = onnx.node "Softmax"(%x) {axis = -1 : i64} : (tensor<256x1000xf32>) -> ("y" : tensor<256x1000xf32>)
    onnx.return %y : tensor<256x1000xf32>
  }
}
