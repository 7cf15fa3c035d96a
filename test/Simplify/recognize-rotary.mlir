// RUN: dlc-opt --split-input-file --dlc-recognize-rotary %s | FileCheck %s

// Halves of the tables are equal.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "RotaryEmbedding"(%x, %{{.*}}, %{{.*}}, %{{.*}}) : (tensor<1x2x3x4xf32>, tensor<3x2xf32>, tensor<3x2xf32>, tensor<1x3xi64>)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x2x3x4xf32>) -> ("y") {
    %cos = onnx.initializer "cos" = dense<[[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %sin = onnx.initializer "sin" = dense<[[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %h = onnx.initializer "h" = dense<[2, 2]> : tensor<2xi64>
    %a, %b = onnx.node "Split"(%x, %h) {axis = 3 : i64} : (tensor<1x2x3x4xf32>, tensor<2xi64>) -> ("a" : tensor<1x2x3x2xf32>, "b" : tensor<1x2x3x2xf32>)
    %n = onnx.node "Neg"(%b) : (tensor<1x2x3x2xf32>) -> ("n" : tensor<1x2x3x2xf32>)
    %r = onnx.node "Concat"(%n, %a) {axis = -1 : i64} : (tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> ("r" : tensor<1x2x3x4xf32>)
    %c = onnx.node "Mul"(%x, %cos) : (tensor<1x2x3x4xf32>, tensor<3x4xf32>) -> ("c" : tensor<1x2x3x4xf32>)
    %s = onnx.node "Mul"(%r, %sin) : (tensor<1x2x3x4xf32>, tensor<3x4xf32>) -> ("s" : tensor<1x2x3x4xf32>)
    %y = onnx.node "Add"(%c, %s) : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> ("y" : tensor<1x2x3x4xf32>)
    onnx.return %y : tensor<1x2x3x4xf32>
  }
}

// -----

// Other halves.
// CHECK-LABEL: onnx.graph
// CHECK: "Concat"
// CHECK-NOT: "RotaryEmbedding"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x2x3x4xf32>) -> ("y") {
    %cos = onnx.initializer "cos" = dense<[[1.0, 2.0, 1.0, 7.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %sin = onnx.initializer "sin" = dense<[[1.0, 2.0, 1.0, 7.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %h = onnx.initializer "h" = dense<[2, 2]> : tensor<2xi64>
    %a, %b = onnx.node "Split"(%x, %h) {axis = 3 : i64} : (tensor<1x2x3x4xf32>, tensor<2xi64>) -> ("a" : tensor<1x2x3x2xf32>, "b" : tensor<1x2x3x2xf32>)
    %n = onnx.node "Neg"(%b) : (tensor<1x2x3x2xf32>) -> ("n" : tensor<1x2x3x2xf32>)
    %r = onnx.node "Concat"(%n, %a) {axis = -1 : i64} : (tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> ("r" : tensor<1x2x3x4xf32>)
    %c = onnx.node "Mul"(%x, %cos) : (tensor<1x2x3x4xf32>, tensor<3x4xf32>) -> ("c" : tensor<1x2x3x4xf32>)
    %s = onnx.node "Mul"(%r, %sin) : (tensor<1x2x3x4xf32>, tensor<3x4xf32>) -> ("s" : tensor<1x2x3x4xf32>)
    %y = onnx.node "Add"(%c, %s) : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> ("y" : tensor<1x2x3x4xf32>)
    onnx.return %y : tensor<1x2x3x4xf32>
  }
}

// -----

// A batch that is not known gets its positions in the run.
// CHECK-LABEL: onnx.graph
// CHECK: %[[BATCH:.*]] = onnx.node "Shape"(%x) {end = 1 : i64, start = 0 : i64}
// CHECK: %[[SIZES:.*]] = onnx.node "Concat"(%[[BATCH]], %{{.*}})
// CHECK: %[[POSITIONS:.*]] = onnx.node "Expand"(%{{.*}}, %[[SIZES]]) {{.*}} : tensor<?x3xi64>
// CHECK: onnx.node "RotaryEmbedding"(%x, %{{.*}}, %{{.*}}, %[[POSITIONS]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x2x3x4xf32>) -> ("y") {
    %cos = onnx.initializer "cos" = dense<[[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %sin = onnx.initializer "sin" = dense<[[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0], [5.0, 6.0, 5.0, 6.0]]> : tensor<3x4xf32>
    %h = onnx.initializer "h" = dense<[2, 2]> : tensor<2xi64>
    %a, %b = onnx.node "Split"(%x, %h) {axis = 3 : i64} : (tensor<?x2x3x4xf32>, tensor<2xi64>) -> ("a" : tensor<?x2x3x2xf32>, "b" : tensor<?x2x3x2xf32>)
    %n = onnx.node "Neg"(%b) : (tensor<?x2x3x2xf32>) -> ("n" : tensor<?x2x3x2xf32>)
    %r = onnx.node "Concat"(%n, %a) {axis = -1 : i64} : (tensor<?x2x3x2xf32>, tensor<?x2x3x2xf32>) -> ("r" : tensor<?x2x3x4xf32>)
    %c = onnx.node "Mul"(%x, %cos) : (tensor<?x2x3x4xf32>, tensor<3x4xf32>) -> ("c" : tensor<?x2x3x4xf32>)
    %s = onnx.node "Mul"(%r, %sin) : (tensor<?x2x3x4xf32>, tensor<3x4xf32>) -> ("s" : tensor<?x2x3x4xf32>)
    %y = onnx.node "Add"(%c, %s) : (tensor<?x2x3x4xf32>, tensor<?x2x3x4xf32>) -> ("y" : tensor<?x2x3x4xf32>)
    onnx.return %y : tensor<?x2x3x4xf32>
  }
}

// -----

// Pairs are turned, and of one number each in the tables.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "RotaryEmbedding"(%x, %{{.*}}, %{{.*}}, %{{.*}}) {interleaved = 1 : i64}
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x2x3x4xf32>) -> ("y") {
    %cos = onnx.initializer "cos" = dense<[[1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 4.0, 4.0], [5.0, 5.0, 6.0, 6.0]]> : tensor<3x4xf32>
    %c0 = onnx.initializer "c0" = dense<0> : tensor<1xi64>
    %c1 = onnx.initializer "c1" = dense<1> : tensor<1xi64>
    %c2 = onnx.initializer "c2" = dense<2> : tensor<1xi64>
    %c3 = onnx.initializer "c3" = dense<3> : tensor<1xi64>
    %c4 = onnx.initializer "c4" = dense<4> : tensor<1xi64>
    %flat = onnx.initializer "flat" = dense<[1, 2, 3, 4]> : tensor<4xi64>
    %a = onnx.node "Slice"(%x, %c0, %c4, %c3, %c2) : (tensor<1x2x3x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("a" : tensor<1x2x3x2xf32>)
    %b = onnx.node "Slice"(%x, %c1, %c4, %c3, %c2) : (tensor<1x2x3x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> ("b" : tensor<1x2x3x2xf32>)
    %n = onnx.node "Neg"(%b) : (tensor<1x2x3x2xf32>) -> ("n" : tensor<1x2x3x2xf32>)
    %nu = onnx.node "Unsqueeze"(%n, %c4) : (tensor<1x2x3x2xf32>, tensor<1xi64>) -> ("nu" : tensor<1x2x3x2x1xf32>)
    %au = onnx.node "Unsqueeze"(%a, %c4) : (tensor<1x2x3x2xf32>, tensor<1xi64>) -> ("au" : tensor<1x2x3x2x1xf32>)
    %p = onnx.node "Concat"(%nu, %au) {axis = 4 : i64} : (tensor<1x2x3x2x1xf32>, tensor<1x2x3x2x1xf32>) -> ("p" : tensor<1x2x3x2x2xf32>)
    %r = onnx.node "Reshape"(%p, %flat) : (tensor<1x2x3x2x2xf32>, tensor<4xi64>) -> ("r" : tensor<1x2x3x4xf32>)
    %c = onnx.node "Mul"(%x, %cos) : (tensor<1x2x3x4xf32>, tensor<3x4xf32>) -> ("c" : tensor<1x2x3x4xf32>)
    %s = onnx.node "Mul"(%r, %cos) : (tensor<1x2x3x4xf32>, tensor<3x4xf32>) -> ("s" : tensor<1x2x3x4xf32>)
    %y = onnx.node "Add"(%c, %s) : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> ("y" : tensor<1x2x3x4xf32>)
    onnx.return %y : tensor<1x2x3x4xf32>
  }
}

// -----

// A table of one row for a length that may be more is none of positions.
// CHECK-LABEL: onnx.graph
// CHECK: "Concat"
// CHECK-NOT: "RotaryEmbedding"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x2x3x4xf32>, %g "g" : tensor<1x1x2xf32>) -> ("y") {
    %c1 = onnx.initializer "c1" = dense<1> : tensor<1xi64>
    %h = onnx.initializer "h" = dense<[2, 2]> : tensor<2xi64>
    %e = onnx.node "Concat"(%g, %g) {axis = 2 : i64} : (tensor<1x1x2xf32>, tensor<1x1x2xf32>) -> ("e" : tensor<1x1x4xf32>)
    %co = onnx.node "Cos"(%e) : (tensor<1x1x4xf32>) -> ("co" : tensor<1x1x4xf32>)
    %cos = onnx.node "Unsqueeze"(%co, %c1) : (tensor<1x1x4xf32>, tensor<1xi64>) -> ("cos" : tensor<1x1x1x4xf32>)
    %si = onnx.node "Sin"(%e) : (tensor<1x1x4xf32>) -> ("si" : tensor<1x1x4xf32>)
    %sin = onnx.node "Unsqueeze"(%si, %c1) : (tensor<1x1x4xf32>, tensor<1xi64>) -> ("sin" : tensor<1x1x1x4xf32>)
    %a, %b = onnx.node "Split"(%x, %h) {axis = 3 : i64} : (tensor<1x2x3x4xf32>, tensor<2xi64>) -> ("a" : tensor<1x2x3x2xf32>, "b" : tensor<1x2x3x2xf32>)
    %n = onnx.node "Neg"(%b) : (tensor<1x2x3x2xf32>) -> ("n" : tensor<1x2x3x2xf32>)
    %r = onnx.node "Concat"(%n, %a) {axis = -1 : i64} : (tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> ("r" : tensor<1x2x3x4xf32>)
    %c = onnx.node "Mul"(%x, %cos) : (tensor<1x2x3x4xf32>, tensor<1x1x1x4xf32>) -> ("c" : tensor<1x2x3x4xf32>)
    %s = onnx.node "Mul"(%r, %sin) : (tensor<1x2x3x4xf32>, tensor<1x1x1x4xf32>) -> ("s" : tensor<1x2x3x4xf32>)
    %y = onnx.node "Add"(%c, %s) : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> ("y" : tensor<1x2x3x4xf32>)
    onnx.return %y : tensor<1x2x3x4xf32>
  }
}

// -----

// The halves one by one, of a batch and a length that only the run knows.
// CHECK-LABEL: onnx.graph
// CHECK: %[[TABLE:.*]] = onnx.node "Expand"(%cos, %{{.*}}) : (tensor<?x2xf32>, tensor<3xi64>) -> ({{.*}}tensor<?x?x2xf32>
// CHECK: onnx.node "RotaryEmbedding"(%x, %[[TABLE]], %{{.*}}) : (tensor<?x2x?x4xf32>
// CHECK-NOT: "Mul"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "n", ""]}, %cos "cos" : tensor<?x2xf32> {dim_names = ["n", ""]}, %sin "sin" : tensor<?x2xf32> {dim_names = ["n", ""]}) -> ("y") {
    %h = onnx.initializer "h" = dense<[2, 2]> : tensor<2xi64>
    %a, %b = onnx.node "Split"(%x, %h) {axis = 3 : i64} : (tensor<?x2x?x4xf32>, tensor<2xi64>) -> ("a" : tensor<?x2x?x2xf32>, "b" : tensor<?x2x?x2xf32>)
    %ac = onnx.node "Mul"(%a, %cos) : (tensor<?x2x?x2xf32>, tensor<?x2xf32>) -> ("ac" : tensor<?x2x?x2xf32>)
    %bs = onnx.node "Mul"(%b, %sin) : (tensor<?x2x?x2xf32>, tensor<?x2xf32>) -> ("bs" : tensor<?x2x?x2xf32>)
    %l = onnx.node "Sub"(%ac, %bs) : (tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>) -> ("l" : tensor<?x2x?x2xf32>)
    %bc = onnx.node "Mul"(%b, %cos) : (tensor<?x2x?x2xf32>, tensor<?x2xf32>) -> ("bc" : tensor<?x2x?x2xf32>)
    %as = onnx.node "Mul"(%a, %sin) : (tensor<?x2x?x2xf32>, tensor<?x2xf32>) -> ("as" : tensor<?x2x?x2xf32>)
    %r = onnx.node "Add"(%bc, %as) : (tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>) -> ("r" : tensor<?x2x?x2xf32>)
    %y = onnx.node "Concat"(%l, %r) {axis = -1 : i64} : (tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>) -> ("y" : tensor<?x2x?x4xf32>)
    onnx.return %y : tensor<?x2x?x4xf32>
  }
}

// -----

// A table that may be of one row.
// CHECK-LABEL: onnx.graph
// CHECK: "Concat"
// CHECK-NOT: "RotaryEmbedding"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "n", ""]}, %cos "cos" : tensor<?x2xf32>, %sin "sin" : tensor<?x2xf32>) -> ("y") {
    %h = onnx.initializer "h" = dense<[2, 2]> : tensor<2xi64>
    %a, %b = onnx.node "Split"(%x, %h) {axis = 3 : i64} : (tensor<?x2x?x4xf32>, tensor<2xi64>) -> ("a" : tensor<?x2x?x2xf32>, "b" : tensor<?x2x?x2xf32>)
    %ac = onnx.node "Mul"(%a, %cos) : (tensor<?x2x?x2xf32>, tensor<?x2xf32>) -> ("ac" : tensor<?x2x?x2xf32>)
    %bs = onnx.node "Mul"(%b, %sin) : (tensor<?x2x?x2xf32>, tensor<?x2xf32>) -> ("bs" : tensor<?x2x?x2xf32>)
    %l = onnx.node "Sub"(%ac, %bs) : (tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>) -> ("l" : tensor<?x2x?x2xf32>)
    %bc = onnx.node "Mul"(%b, %cos) : (tensor<?x2x?x2xf32>, tensor<?x2xf32>) -> ("bc" : tensor<?x2x?x2xf32>)
    %as = onnx.node "Mul"(%a, %sin) : (tensor<?x2x?x2xf32>, tensor<?x2xf32>) -> ("as" : tensor<?x2x?x2xf32>)
    %r = onnx.node "Add"(%bc, %as) : (tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>) -> ("r" : tensor<?x2x?x2xf32>)
    %y = onnx.node "Concat"(%l, %r) {axis = -1 : i64} : (tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>) -> ("y" : tensor<?x2x?x4xf32>)
    onnx.return %y : tensor<?x2x?x4xf32>
  }
}

// -----

// The operator has no float64.
// CHECK-LABEL: onnx.graph
// CHECK: "Concat"
// CHECK-NOT: "RotaryEmbedding"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x2x?x4xf64> {dim_names = ["b", "", "n", ""]}, %cos "cos" : tensor<?x2xf64> {dim_names = ["n", ""]}, %sin "sin" : tensor<?x2xf64> {dim_names = ["n", ""]}) -> ("y") {
    %h = onnx.initializer "h" = dense<[2, 2]> : tensor<2xi64>
    %a, %b = onnx.node "Split"(%x, %h) {axis = 3 : i64} : (tensor<?x2x?x4xf64>, tensor<2xi64>) -> ("a" : tensor<?x2x?x2xf64>, "b" : tensor<?x2x?x2xf64>)
    %ac = onnx.node "Mul"(%a, %cos) : (tensor<?x2x?x2xf64>, tensor<?x2xf64>) -> ("ac" : tensor<?x2x?x2xf64>)
    %bs = onnx.node "Mul"(%b, %sin) : (tensor<?x2x?x2xf64>, tensor<?x2xf64>) -> ("bs" : tensor<?x2x?x2xf64>)
    %l = onnx.node "Sub"(%ac, %bs) : (tensor<?x2x?x2xf64>, tensor<?x2x?x2xf64>) -> ("l" : tensor<?x2x?x2xf64>)
    %bc = onnx.node "Mul"(%b, %cos) : (tensor<?x2x?x2xf64>, tensor<?x2xf64>) -> ("bc" : tensor<?x2x?x2xf64>)
    %as = onnx.node "Mul"(%a, %sin) : (tensor<?x2x?x2xf64>, tensor<?x2xf64>) -> ("as" : tensor<?x2x?x2xf64>)
    %r = onnx.node "Add"(%bc, %as) : (tensor<?x2x?x2xf64>, tensor<?x2x?x2xf64>) -> ("r" : tensor<?x2x?x2xf64>)
    %y = onnx.node "Concat"(%l, %r) {axis = -1 : i64} : (tensor<?x2x?x2xf64>, tensor<?x2x?x2xf64>) -> ("y" : tensor<?x2x?x4xf64>)
    onnx.return %y : tensor<?x2x?x4xf64>
  }
}
