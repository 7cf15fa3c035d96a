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

// -----

// The positions up to a length are as many as that, or all 512 of them: beside
// what has the length they are the same. Counting up to a size is it again.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "Expand"
// CHECK: onnx.initializer "y/shape" = dense<[0, 0, 8]>
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x?x2x4xf32> {dim_names = ["b", "s", "", ""]}) -> ("y", "z") {
    %table = onnx.initializer "table" = dense<0.5> : tensor<1x512xf32>
    %none = onnx.initializer "none" = dense<0> : tensor<1xi64>
    %one = onnx.initializer "one" = dense<1> : tensor<1xi64>
    %i0 = onnx.initializer "i0" = dense<0> : tensor<i64>
    %i1 = onnx.initializer "i1" = dense<1> : tensor<i64>
    %eight = onnx.initializer "eight" = dense<8> : tensor<1xi64>
    %no = onnx.initializer "no" = dense<false> : tensor<2xi1>
    %ones = onnx.initializer "ones" = dense<1> : tensor<2xi64>
    %b = onnx.node "Shape"(%x) {end = 1 : i64, start = 0 : i64} : (tensor<?x?x2x4xf32>) -> ("b" : tensor<1xi64>)
    %s = onnx.node "Shape"(%x) {end = 2 : i64, start = 1 : i64} : (tensor<?x?x2x4xf32>) -> ("s" : tensor<1xi64>)
    %p = onnx.node "Slice"(%table, %none, %s, %one, %one) : (tensor<1x512xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("p" : tensor<?x?xf32>)
    %u = onnx.node "Squeeze"(%s, %none) : (tensor<1xi64>, tensor<1xi64>) -> ("u" : tensor<i64>)
    %r = onnx.node "Range"(%i0, %u, %i1) : (tensor<i64>, tensor<i64>, tensor<i64>) -> ("r" : tensor<?xi64>)
    %f = onnx.node "Cast"(%r) {to = 1 : i64} : (tensor<?xi64>) -> ("f" : tensor<?xf32>)
    %q = onnx.node "Add"(%p, %f) : (tensor<?x?xf32>, tensor<?xf32>) -> ("q" : tensor<?x?xf32>)
    %c = onnx.node "Concat"(%one, %s) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> ("c" : tensor<2xi64>)
    %w = onnx.node "Where"(%no, %ones, %c) : (tensor<2xi1>, tensor<2xi64>, tensor<2xi64>) -> ("w" : tensor<2xi64>)
    %z = onnx.node "Expand"(%q, %w) : (tensor<?x?xf32>, tensor<2xi64>) -> ("z" : tensor<?x?xf32>)
    %t = onnx.node "Shape"(%z) {end = 2 : i64, start = 1 : i64} : (tensor<?x?xf32>) -> ("t" : tensor<1xi64>)
    %d = onnx.node "Concat"(%b, %t, %eight) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("d" : tensor<3xi64>)
    %y = onnx.node "Reshape"(%x, %d) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> ("y" : tensor<?x?x8xf32>)
    onnx.return %y, %z : tensor<?x?x8xf32>, tensor<?x?xf32>
  }
}

// -----

// Alone, the positions may be fewer than the length; and those from the second
// one on are others.
// CHECK-LABEL: onnx.graph
// CHECK: "Expand"
// CHECK: "Expand"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x?xf32> {dim_names = ["b", "s"]}) -> ("y", "z") {
    %table = onnx.initializer "table" = dense<0.5> : tensor<512xf32>
    %none = onnx.initializer "none" = dense<0> : tensor<1xi64>
    %one = onnx.initializer "one" = dense<1> : tensor<1xi64>
    %s = onnx.node "Shape"(%x) {end = 2 : i64, start = 1 : i64} : (tensor<?x?xf32>) -> ("s" : tensor<1xi64>)
    %p = onnx.node "Slice"(%table, %none, %s, %none) : (tensor<512xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("p" : tensor<?xf32>)
    %q = onnx.node "Slice"(%x, %one, %s, %one) : (tensor<?x?xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("q" : tensor<?x?xf32>)
    %y = onnx.node "Expand"(%p, %s) : (tensor<?xf32>, tensor<1xi64>) -> ("y" : tensor<?xf32>)
    %z = onnx.node "Expand"(%q, %s) : (tensor<?x?xf32>, tensor<1xi64>) -> ("z" : tensor<?x?xf32>)
    onnx.return %y, %z : tensor<?xf32>, tensor<?x?xf32>
  }
}

// -----

// What is left of the sizes is a number, which the type tells.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Reshape"{{.*}} -> ("r" : tensor<?x?x2x4xf32>)
// CHECK: onnx.node "Reshape"{{.*}} -> ("q" : tensor<?x?x?x4xf32>)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x?x8xf32>) -> ("y", "z") {
    %rest = onnx.initializer "rest" = dense<[-1, 4]> : tensor<2xi64>
    %0 = onnx.node "Shape"(%x) {end = 1 : i64, start = 0 : i64} : (tensor<?x?x8xf32>) -> ("0" : tensor<1xi64>)
    %1 = onnx.node "Shape"(%x) {end = 2 : i64, start = 1 : i64} : (tensor<?x?x8xf32>) -> ("1" : tensor<1xi64>)
    %s = onnx.node "Concat"(%0, %1, %rest) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<2xi64>) -> ("s" : tensor<4xi64>)
    %t = onnx.node "Concat"(%0, %0, %rest) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<2xi64>) -> ("t" : tensor<4xi64>)
    %r = onnx.node "Reshape"(%x, %s) : (tensor<?x?x8xf32>, tensor<4xi64>) -> ("r" : tensor<?x?x?x4xf32>)
    %q = onnx.node "Reshape"(%x, %t) : (tensor<?x?x8xf32>, tensor<4xi64>) -> ("q" : tensor<?x?x?x4xf32>)
    %y = onnx.node "Relu"(%r) : (tensor<?x?x?x4xf32>) -> ("y" : tensor<?x?x?x4xf32>)
    %z = onnx.node "Relu"(%q) : (tensor<?x?x?x4xf32>) -> ("z" : tensor<?x?x?x4xf32>)
    onnx.return %y, %z : tensor<?x?x?x4xf32>, tensor<?x?x?x4xf32>
  }
}

// -----

// How a Softmax of set 11 is raised.
// CHECK-LABEL: onnx.graph
// CHECK-NEXT: %y = onnx.node "Softmax"(%x) {axis = -1 : i64}
// CHECK-NEXT: onnx.return %y
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x3x?xf32>, %z "z" : tensor<?x3x?xf32>) -> ("y") {
    %s = onnx.node "Shape"(%x) : (tensor<?x3x?xf32>) -> ("s" : tensor<3xi64>)
    %f = onnx.node "Flatten"(%x) {axis = 2 : i64} : (tensor<?x3x?xf32>) -> ("f" : tensor<?x?xf32>)
    %p = onnx.node "Softmax"(%f) {axis = -1 : i64} : (tensor<?x?xf32>) -> ("p" : tensor<?x?xf32>)
    %y = onnx.node "Reshape"(%p, %s) : (tensor<?x?xf32>, tensor<3xi64>) -> ("y" : tensor<?x3x?xf32>)
    onnx.return %y : tensor<?x3x?xf32>
  }
}

// -----

// To the sizes of something else.
// CHECK-LABEL: onnx.graph
// CHECK: "Flatten"
// CHECK: "Softmax"
// CHECK: "Reshape"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x3x?xf32>, %z "z" : tensor<?x3x?xf32>) -> ("y") {
    %s = onnx.node "Shape"(%z) : (tensor<?x3x?xf32>) -> ("s" : tensor<3xi64>)
    %f = onnx.node "Flatten"(%x) {axis = 2 : i64} : (tensor<?x3x?xf32>) -> ("f" : tensor<?x?xf32>)
    %p = onnx.node "Softmax"(%f) {axis = -1 : i64} : (tensor<?x?xf32>) -> ("p" : tensor<?x?xf32>)
    %y = onnx.node "Reshape"(%p, %s) : (tensor<?x?xf32>, tensor<3xi64>) -> ("y" : tensor<?x3x?xf32>)
    onnx.return %y : tensor<?x3x?xf32>
  }
}

// -----

// A check in front says which sizes without a name are equal; the last one's
// is of another word.
// CHECK-LABEL: onnx.graph
// CHECK: "ExpectShapes"
// CHECK: %[[T:.*]] = onnx.node "Concat"
// CHECK: %[[S:.*]] = onnx.initializer {{.*}} = dense<[0, 0, 2, -1]>
// CHECK: "Reshape"(%x, %[[S]])
// CHECK: "Reshape"(%z, %[[T]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%k "k" : tensor<?x?x6xf32>, %x "x" : tensor<?x?x8xf32>, %z "z" : tensor<?x?x8xf32>) -> ("y", "w") {
    onnx.node "ExpectShapes" in "dlc"(%k, %x, %z) {names = ["K", "X", "Z"], shapes = ["batch, length, size", "batch, length, other", "batch, length / 2, other"]} : (tensor<?x?x6xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> ()
    %s = onnx.node "Shape"(%k) {start = 0 : i64, end = 2 : i64} : (tensor<?x?x6xf32>) -> ("s" : tensor<2xi64>)
    %h = onnx.initializer "h" = dense<[2, -1]> : tensor<2xi64>
    %t = onnx.node "Concat"(%s, %h) {axis = 0 : i64} : (tensor<2xi64>, tensor<2xi64>) -> ("t" : tensor<4xi64>)
    %y = onnx.node "Reshape"(%x, %t) : (tensor<?x?x8xf32>, tensor<4xi64>) -> ("y" : tensor<?x?x2x?xf32>)
    %w = onnx.node "Reshape"(%z, %t) : (tensor<?x?x8xf32>, tensor<4xi64>) -> ("w" : tensor<?x?x2x?xf32>)
    onnx.return %y, %w : tensor<?x?x2x?xf32>, tensor<?x?x2x?xf32>
  }
}
