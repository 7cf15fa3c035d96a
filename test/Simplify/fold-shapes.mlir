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

// -----

// A product of matrices between reshapes that only flatten, of sizes that are
// not known.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "Gemm"
// CHECK: %[[P:.*]] = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32>, tensor<8x4xf32>)
// CHECK: %[[Y:.*]] = onnx.node "Add"(%[[P]], %b) : (tensor<?x?x4xf32>, tensor<4xf32>) -> ("y" : tensor<?x?x4xf32>)
// CHECK: onnx.return %[[Y]]
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x?x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<8x4xf32>
    %b = onnx.initializer "b" = dense<0.5> : tensor<4xf32>
    %flat = onnx.initializer "flat" = dense<[-1, 8]> : tensor<2xi64>
    %four = onnx.initializer "four" = dense<[4]> : tensor<1xi64>
    %0 = onnx.node "Shape"(%x) {end = 1 : i64, start = 0 : i64} : (tensor<?x?x8xf32>) -> ("0" : tensor<1xi64>)
    %1 = onnx.node "Shape"(%x) {end = 2 : i64, start = 1 : i64} : (tensor<?x?x8xf32>) -> ("1" : tensor<1xi64>)
    %s = onnx.node "Concat"(%0, %1, %four) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("s" : tensor<3xi64>)
    %m = onnx.node "Reshape"(%x, %flat) : (tensor<?x?x8xf32>, tensor<2xi64>) -> ("m" : tensor<?x8xf32>)
    %g = onnx.node "Gemm"(%m, %w, %b) : (tensor<?x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> ("g" : tensor<?x4xf32>)
    %y = onnx.node "Reshape"(%g, %s) : (tensor<?x4xf32>, tensor<3xi64>) -> ("y" : tensor<?x?x4xf32>)
    onnx.return %y : tensor<?x?x4xf32>
  }
}

// -----

// To the sizes in another order it is something else.
// CHECK-LABEL: onnx.graph
// CHECK: "Gemm"
// CHECK: "Reshape"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x?x8xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<8x4xf32>
    %flat = onnx.initializer "flat" = dense<[-1, 8]> : tensor<2xi64>
    %four = onnx.initializer "four" = dense<[4]> : tensor<1xi64>
    %0 = onnx.node "Shape"(%x) {end = 1 : i64, start = 0 : i64} : (tensor<?x?x8xf32>) -> ("0" : tensor<1xi64>)
    %1 = onnx.node "Shape"(%x) {end = 2 : i64, start = 1 : i64} : (tensor<?x?x8xf32>) -> ("1" : tensor<1xi64>)
    %s = onnx.node "Concat"(%1, %0, %four) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("s" : tensor<3xi64>)
    %m = onnx.node "Reshape"(%x, %flat) : (tensor<?x?x8xf32>, tensor<2xi64>) -> ("m" : tensor<?x8xf32>)
    %g = onnx.node "Gemm"(%m, %w) : (tensor<?x8xf32>, tensor<8x4xf32>) -> ("g" : tensor<?x4xf32>)
    %y = onnx.node "Reshape"(%g, %s) : (tensor<?x4xf32>, tensor<3xi64>) -> ("y" : tensor<?x?x4xf32>)
    onnx.return %y : tensor<?x?x4xf32>
  }
}

// -----

// Sizes through products of batches, a broadcast, a lookup and a reshape that
// keeps them: the last Reshape has those of its operand.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.initializer "y/shape" = dense<[0, 0, 8]>
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%i "i" : tensor<?x?xi64> {dim_names = ["b", "s"]}) -> ("y") {
    %w = onnx.initializer "w" = dense<0.5> : tensor<9x8xf32>
    %heads = onnx.initializer "heads" = dense<[0, 0, 2, 4]> : tensor<4xi64>
    %eight = onnx.initializer "eight" = dense<[8]> : tensor<1xi64>
    %x = onnx.node "Gather"(%w, %i) : (tensor<9x8xf32>, tensor<?x?xi64>) -> ("x" : tensor<?x?x8xf32>)
    %r = onnx.node "Reshape"(%x, %heads) : (tensor<?x?x8xf32>, tensor<4xi64>) -> ("r" : tensor<?x?x2x4xf32>)
    %q = onnx.node "Transpose"(%r) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> ("q" : tensor<?x2x?x4xf32>)
    %k = onnx.node "Transpose"(%r) {perm = array<i64: 0, 2, 3, 1>} : (tensor<?x?x2x4xf32>) -> ("k" : tensor<?x2x4x?xf32>)
    %p = onnx.node "MatMul"(%q, %k) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> ("p" : tensor<?x2x?x?xf32>)
    %v = onnx.node "MatMul"(%p, %q) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> ("v" : tensor<?x2x?x4xf32>)
    %t = onnx.node "Transpose"(%v) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> ("t" : tensor<?x?x2x4xf32>)
    %0 = onnx.node "Shape"(%x) {end = 1 : i64, start = 0 : i64} : (tensor<?x?x8xf32>) -> ("0" : tensor<1xi64>)
    %1 = onnx.node "Shape"(%x) {end = 2 : i64, start = 1 : i64} : (tensor<?x?x8xf32>) -> ("1" : tensor<1xi64>)
    %s = onnx.node "Concat"(%0, %1, %eight) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("s" : tensor<3xi64>)
    %y = onnx.node "Reshape"(%t, %s) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> ("y" : tensor<?x?x8xf32>)
    onnx.return %y : tensor<?x?x8xf32>
  }
}
