// RUN: dlc-opt --split-input-file --dlc-fold-shapes %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: %[[S:.*]] = onnx.initializer {{.*}} = dense<[0, 40]>
// CHECK-NOT: "Shape"
// CHECK: onnx.node "Reshape"(%x, %[[S]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x5x8xf32>) -> ("y") {
    %s = onnx.node "Shape"(%x) : (tensor<?x5x8xf32>) -> ("s" : tensor<3xi64>)
    %z = onnx.initializer "z" = dense<[0]> : tensor<1xi64>
    %n = onnx.node "Gather"(%s, %z) : (tensor<3xi64>, tensor<1xi64>) -> ("n" : tensor<1xi64>)
    %f = onnx.initializer "f" = dense<[40]> : tensor<1xi64>
    %t = onnx.node "Concat"(%n, %f) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> ("t" : tensor<2xi64>)
    %y = onnx.node "Reshape"(%x, %t) : (tensor<?x5x8xf32>, tensor<2xi64>) -> ("y" : tensor<?x40xf32>)
    onnx.return %y : tensor<?x40xf32>
  }
}

// -----

// Numbers that are known.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.initializer "n" = dense<10> : tensor<1xi64>
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x5x8xf32>) -> ("n") {
    %s = onnx.node "Shape"(%x) {start = 1 : i64, end = 2 : i64} : (tensor<?x5x8xf32>) -> ("s" : tensor<1xi64>)
    %n = onnx.node "Add"(%s, %s) : (tensor<1xi64>, tensor<1xi64>) -> ("n" : tensor<1xi64>)
    onnx.return %n : tensor<1xi64>
  }
}

// -----

// Two sizes that are not those of the tensor, in place.
// CHECK-LABEL: onnx.graph
// CHECK: "Concat"
// CHECK: "Reshape"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x?xf32>) -> ("y") {
    %a = onnx.node "Shape"(%x) {start = 0 : i64, end = 1 : i64} : (tensor<?x?xf32>) -> ("a" : tensor<1xi64>)
    %b = onnx.node "Shape"(%x) {start = 1 : i64, end = 2 : i64} : (tensor<?x?xf32>) -> ("b" : tensor<1xi64>)
    %t = onnx.node "Concat"(%b, %a) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> ("t" : tensor<2xi64>)
    %y = onnx.node "Reshape"(%x, %t) : (tensor<?x?xf32>, tensor<2xi64>) -> ("y" : tensor<?x?xf32>)
    onnx.return %y : tensor<?x?xf32>
  }
}

// -----

// What a branch is chosen by: 5 is not 0, whatever the other size is.
// CHECK-LABEL: onnx.graph
// CHECK-DAG: onnx.initializer "c" = dense<true> : tensor<1xi1>
// CHECK-DAG: onnx.initializer "n" = dense<false> : tensor<1xi1>
// CHECK: onnx.node "Cast"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x5xf32>) -> ("c", "n", "d") {
    %s = onnx.node "Shape"(%x) {start = 1 : i64, end = 2 : i64} : (tensor<?x5xf32>) -> ("s" : tensor<1xi64>)
    %t = onnx.node "Shape"(%x) {start = 0 : i64, end = 1 : i64} : (tensor<?x5xf32>) -> ("t" : tensor<1xi64>)
    %c = onnx.node "Cast"(%s) {to = 9 : i64} : (tensor<1xi64>) -> ("c" : tensor<1xi1>)
    %n = onnx.node "Not"(%c) : (tensor<1xi1>) -> ("n" : tensor<1xi1>)
    %d = onnx.node "Cast"(%t) {to = 9 : i64} : (tensor<1xi64>) -> ("d" : tensor<1xi1>)
    onnx.return %c, %n, %d : tensor<1xi1>, tensor<1xi1>, tensor<1xi1>
  }
}
