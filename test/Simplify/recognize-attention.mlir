// RUN: dlc-opt --split-input-file --dlc-recognize-attention %s | FileCheck %s

// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Attention"(%q, %k, %v, %mask) {scale = 5.000000e-01 : f32}
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<1x2x3x4xf32>, %k "k" : tensor<1x2x3x4xf32>, %v "v" : tensor<1x2x3x4xf32>, %mask "mask" : tensor<1x1x3x3xf32>) -> ("y") {
    %k2 = onnx.initializer "k2" = dense<2.0> : tensor<f32>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<1x2x3x4xf32>) -> ("kt" : tensor<1x2x4x3xf32>)
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<1x2x3x4xf32>, tensor<1x2x4x3xf32>) -> ("s" : tensor<1x2x3x3xf32>)
    %d = onnx.node "Div"(%s, %k2) : (tensor<1x2x3x3xf32>, tensor<f32>) -> ("d" : tensor<1x2x3x3xf32>)
    %m = onnx.node "Add"(%d, %mask) : (tensor<1x2x3x3xf32>, tensor<1x1x3x3xf32>) -> ("m" : tensor<1x2x3x3xf32>)
    %p = onnx.node "Softmax"(%m) {axis = -1 : i64} : (tensor<1x2x3x3xf32>) -> ("p" : tensor<1x2x3x3xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<1x2x3x3xf32>, tensor<1x2x3x4xf32>) -> ("y" : tensor<1x2x3x4xf32>)
    onnx.return %y : tensor<1x2x3x4xf32>
  }
}

// -----

// The operator has no mask that is repeated along the queries: it is expanded.
// CHECK-LABEL: onnx.graph
// CHECK: %[[SIZES:.*]] = onnx.initializer {{.*}} dense<[1, 1, 3, 1]>
// CHECK: %[[MASK:.*]] = onnx.node "Expand"(%mask, %[[SIZES]])
// CHECK: onnx.node "Attention"(%q, %k, %v, %[[MASK]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<1x2x3x4xf32>, %k "k" : tensor<1x2x3x4xf32>, %v "v" : tensor<1x2x3x4xf32>, %mask "mask" : tensor<1x1x1x3xf32>) -> ("y") {
    %k2 = onnx.initializer "k2" = dense<2.0> : tensor<f32>
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<1x2x3x4xf32>) -> ("kt" : tensor<1x2x4x3xf32>)
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<1x2x3x4xf32>, tensor<1x2x4x3xf32>) -> ("s" : tensor<1x2x3x3xf32>)
    %d = onnx.node "Div"(%s, %k2) : (tensor<1x2x3x3xf32>, tensor<f32>) -> ("d" : tensor<1x2x3x3xf32>)
    %m = onnx.node "Add"(%d, %mask) : (tensor<1x2x3x3xf32>, tensor<1x1x1x3xf32>) -> ("m" : tensor<1x2x3x3xf32>)
    %p = onnx.node "Softmax"(%m) {axis = -1 : i64} : (tensor<1x2x3x3xf32>) -> ("p" : tensor<1x2x3x3xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<1x2x3x3xf32>, tensor<1x2x3x4xf32>) -> ("y" : tensor<1x2x3x4xf32>)
    onnx.return %y : tensor<1x2x3x4xf32>
  }
}

// -----

// Of sizes that are known to be those of the scores.
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Attention"(%q, %k, %v, %mask)
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "s", ""]}, %k "k" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %v "v" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %mask "mask" : tensor<?x1x?x?xf32> {dim_names = ["b", "", "s", "t"]}) -> ("y") {
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x4xf32>) -> ("kt" : tensor<?x2x4x?xf32>)
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> ("s" : tensor<?x2x?x?xf32>)
    %m = onnx.node "Add"(%s, %mask) : (tensor<?x2x?x?xf32>, tensor<?x1x?x?xf32>) -> ("m" : tensor<?x2x?x?xf32>)
    %p = onnx.node "Softmax"(%m) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> ("p" : tensor<?x2x?x?xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> ("y" : tensor<?x2x?x4xf32>)
    onnx.return %y : tensor<?x2x?x4xf32>
  }
}

// -----

// Those that may be 1, or of something else, stay.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "Attention"
// CHECK: "Softmax"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "s", ""]}, %k "k" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %v "v" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %mask "mask" : tensor<?x1x?x?xf32> {dim_names = ["b", "", "u", "t"]}) -> ("y") {
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x4xf32>) -> ("kt" : tensor<?x2x4x?xf32>)
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> ("s" : tensor<?x2x?x?xf32>)
    %m = onnx.node "Add"(%s, %mask) : (tensor<?x2x?x?xf32>, tensor<?x1x?x?xf32>) -> ("m" : tensor<?x2x?x?xf32>)
    %p = onnx.node "Softmax"(%m) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> ("p" : tensor<?x2x?x?xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> ("y" : tensor<?x2x?x4xf32>)
    onnx.return %y : tensor<?x2x?x4xf32>
  }
}

// -----

// One for all queries, whose number the run knows.
// CHECK-LABEL: onnx.graph
// CHECK: %[[LENGTH:.*]] = onnx.node "Shape"(%q) {end = 3 : i64, start = 2 : i64}
// CHECK: %[[SIZES:.*]] = onnx.node "Concat"(%{{.*}}, %[[LENGTH]], %{{.*}})
// CHECK: %[[MASK:.*]] = onnx.node "Expand"(%mask, %[[SIZES]])
// CHECK: onnx.node "Attention"(%q, %k, %v, %[[MASK]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "s", ""]}, %k "k" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %v "v" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %mask "mask" : tensor<?x1x1x?xf32> {dim_names = ["b", "", "", "t"]}) -> ("y") {
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x4xf32>) -> ("kt" : tensor<?x2x4x?xf32>)
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> ("s" : tensor<?x2x?x?xf32>)
    %m = onnx.node "Add"(%s, %mask) : (tensor<?x2x?x?xf32>, tensor<?x1x1x?xf32>) -> ("m" : tensor<?x2x?x?xf32>)
    %p = onnx.node "Softmax"(%m) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> ("p" : tensor<?x2x?x?xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> ("y" : tensor<?x2x?x4xf32>)
    onnx.return %y : tensor<?x2x?x4xf32>
  }
}

// -----

// Scores that are chosen by a condition have a number too low to leave any
// digit of them in their place.
// CHECK-LABEL: onnx.graph
// CHECK: %[[ZERO:.*]] = onnx.initializer {{.*}} dense<0.0{{.*}}> : tensor<f32>
// CHECK: %[[MASK:.*]] = onnx.node "Where"(%mask, %low, %[[ZERO]])
// CHECK: onnx.node "Attention"(%q, %k, %v, %[[MASK]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "s", ""]}, %k "k" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %v "v" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %mask "mask" : tensor<?x1x?x?xi1> {dim_names = ["b", "", "s", "t"]}) -> ("y") {
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x4xf32>) -> ("kt" : tensor<?x2x4x?xf32>)
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> ("s" : tensor<?x2x?x?xf32>)
    %low = onnx.initializer "low" = dense<0xFF7FFFFF> : tensor<f32>
    %m = onnx.node "Where"(%mask, %low, %s) : (tensor<?x1x?x?xi1>, tensor<f32>, tensor<?x2x?x?xf32>) -> ("m" : tensor<?x2x?x?xf32>)
    %p = onnx.node "Softmax"(%m) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> ("p" : tensor<?x2x?x?xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> ("y" : tensor<?x2x?x4xf32>)
    onnx.return %y : tensor<?x2x?x4xf32>
  }
}

// -----

// In place of -1e4 the sum would be another number.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "Attention"
// CHECK: "Softmax"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "s", ""]}, %k "k" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %v "v" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %mask "mask" : tensor<?x1x?x?xi1> {dim_names = ["b", "", "s", "t"]}) -> ("y") {
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x4xf32>) -> ("kt" : tensor<?x2x4x?xf32>)
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> ("s" : tensor<?x2x?x?xf32>)
    %low = onnx.initializer "low" = dense<-1.0e+04> : tensor<f32>
    %m = onnx.node "Where"(%mask, %low, %s) : (tensor<?x1x?x?xi1>, tensor<f32>, tensor<?x2x?x?xf32>) -> ("m" : tensor<?x2x?x?xf32>)
    %p = onnx.node "Softmax"(%m) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> ("p" : tensor<?x2x?x?xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> ("y" : tensor<?x2x?x4xf32>)
    onnx.return %y : tensor<?x2x?x4xf32>
  }
}

// -----

// Two of them are added up.
// CHECK-LABEL: onnx.graph
// CHECK: %[[WHERE:.*]] = onnx.node "Where"(%mask, %low, %{{.*}})
// CHECK: %[[MASK:.*]] = onnx.node "Add"(%[[WHERE]], %more) {{.*}} : tensor<?x1x?x?xf32>)
// CHECK: onnx.node "Attention"(%q, %k, %v, %[[MASK]])
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%q "q" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "s", ""]}, %k "k" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %v "v" : tensor<?x2x?x4xf32> {dim_names = ["b", "", "t", ""]}, %mask "mask" : tensor<?x1x?x?xi1> {dim_names = ["b", "", "s", "t"]}, %more "more" : tensor<?x?xf32> {dim_names = ["s", "t"]}) -> ("y") {
    %kt = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x4xf32>) -> ("kt" : tensor<?x2x4x?xf32>)
    %s = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> ("s" : tensor<?x2x?x?xf32>)
    %low = onnx.initializer "low" = dense<0xFF800000> : tensor<f32>
    %a = onnx.node "Add"(%s, %more) : (tensor<?x2x?x?xf32>, tensor<?x?xf32>) -> ("a" : tensor<?x2x?x?xf32>)
    %m = onnx.node "Where"(%mask, %low, %a) : (tensor<?x1x?x?xi1>, tensor<f32>, tensor<?x2x?x?xf32>) -> ("m" : tensor<?x2x?x?xf32>)
    %p = onnx.node "Softmax"(%m) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> ("p" : tensor<?x2x?x?xf32>)
    %y = onnx.node "MatMul"(%p, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> ("y" : tensor<?x2x?x4xf32>)
    onnx.return %y : tensor<?x2x?x4xf32>
  }
}
