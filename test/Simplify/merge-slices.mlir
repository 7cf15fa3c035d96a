// RUN: dlc-opt --split-input-file --dlc-merge-slices %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Split"(%x, %{{.*}}) {axis = 1 : i64}
// CHECK-NOT: "Slice"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("a", "b") {
    %z = onnx.initializer "z" = dense<[0]> : tensor<1xi64>
    %t = onnx.initializer "t" = dense<[2]> : tensor<1xi64>
    %f = onnx.initializer "f" = dense<[4]> : tensor<1xi64>
    %ax = onnx.initializer "ax" = dense<[1]> : tensor<1xi64>
    %bb = onnx.initializer "bb" = dense<[2]> : tensor<1xi64>
    %a = onnx.node "Slice"(%x, %z, %t, %ax) : (tensor<2x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("a" : tensor<2x2xf32>)
    %b = onnx.node "Slice"(%x, %bb, %f, %ax) : (tensor<2x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("b" : tensor<2x2xf32>)
    onnx.return %a, %b : tensor<2x2xf32>, tensor<2x2xf32>
  }
}

// -----

// Something is left out.
// CHECK-LABEL: onnx.graph
// CHECK-COUNT-2: "Slice"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("a", "b") {
    %z = onnx.initializer "z" = dense<[0]> : tensor<1xi64>
    %t = onnx.initializer "t" = dense<[2]> : tensor<1xi64>
    %f = onnx.initializer "f" = dense<[4]> : tensor<1xi64>
    %ax = onnx.initializer "ax" = dense<[1]> : tensor<1xi64>
    %bb = onnx.initializer "bb" = dense<[3]> : tensor<1xi64>
    %a = onnx.node "Slice"(%x, %z, %t, %ax) : (tensor<2x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("a" : tensor<2x2xf32>)
    %b = onnx.node "Slice"(%x, %bb, %f, %ax) : (tensor<2x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("b" : tensor<2x1xf32>)
    onnx.return %a, %b : tensor<2x2xf32>, tensor<2x1xf32>
  }
}

// -----

// CHECK-LABEL: onnx.graph
// CHECK-NEXT: onnx.return %x
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<2x4xf32>) -> ("y") {
    %s = onnx.initializer "s" = dense<[2, 2]> : tensor<2xi64>
    %a, %b = onnx.node "Split"(%x, %s) {axis = 1 : i64} : (tensor<2x4xf32>, tensor<2xi64>) -> ("a" : tensor<2x2xf32>, "b" : tensor<2x2xf32>)
    %y = onnx.node "Concat"(%a, %b) {axis = 1 : i64} : (tensor<2x2xf32>, tensor<2x2xf32>) -> ("y" : tensor<2x4xf32>)
    onnx.return %y : tensor<2x4xf32>
  }
}
