// RUN: dlc-opt --split-input-file --dlc-infer-types %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: "Reshape"{{.*}} -> ("y" : tensor<2x2x2xf32>)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %s = onnx.initializer "s" = dense<[2, -1, 2]> : tensor<3xi64>
    %y = onnx.node "Reshape"(%x, %s) : (tensor<2x4xf32>, tensor<3xi64>) -> ("y" : tensor<?x?x?xf32>)
    onnx.return %y : tensor<?x?x?xf32>
  }
}
