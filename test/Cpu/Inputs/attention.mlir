module attributes {dlc.name = "net", onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<1x4x128x64xf32>, %k "k" : tensor<1x4x64x128xf32>, %v "v" : tensor<1x4x128x64xf32>) -> ("y") {
    %s = onnx.node "MatMul"(%q, %k) : (tensor<1x4x128x64xf32>, tensor<1x4x64x128xf32>) -> ("s" : tensor<1x4x128x128xf32>)
    %p = onnx.node "Softmax"(%s) {axis = -1 : i64} : (tensor<1x4x128x128xf32>) -> ("p" : tensor<1x4x128x128xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<1x4x128x128xf32>, tensor<1x4x128x64xf32>) -> ("y" : tensor<1x4x128x64xf32>)
    onnx.return %y : tensor<1x4x128x64xf32>
  }
}
