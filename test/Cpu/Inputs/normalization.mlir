module attributes {dlc.name = "net", onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<256x768xf32>, %s "s" : tensor<768xf32>, %b "b" : tensor<768xf32>) -> ("y") {
    %y = onnx.node "LayerNormalization"(%x, %s, %b) {axis = -1 : i64} : (tensor<256x768xf32>, tensor<768xf32>, tensor<768xf32>) -> ("y" : tensor<256x768xf32>)
    onnx.return %y : tensor<256x768xf32>
  }
}
