// The onnx dialect prints what it parses, in a form that a person can read.
// RUN: dlc-opt %s | dlc-opt | FileCheck %s
// RUN: dlc-opt %s --mlir-print-op-generic | dlc-opt | FileCheck %s

// CHECK: module attributes {onnx.ir_version = 9 : i64
module attributes {onnx.ir_version = 9 : i64, onnx.opset_imports = {ai.onnx = 18 : i64}} {
  // CHECK-LABEL: onnx.function @"my::Scale" "my" "Scale" (%x "x" : !onnx.unknown) -> ("y")
  // CHECK-SAME: attributes {defaults = {b = 2.000000e+00 : f32}, opset_imports = {ai.onnx = 18 : i64}, parameters = ["k"]}
  onnx.function @"my::Scale" "my" "Scale" (%x "x" : !onnx.unknown) -> ("y")
      attributes {defaults = {b = 2.0 : f32}, opset_imports = {ai.onnx = 18 : i64}, parameters = ["k"]} {
    // CHECK: onnx.node "Constant"() {value_float = #onnx.ref<"k", "float">} : () -> ("c" : !onnx.unknown)
    %c = onnx.node "Constant"() {value_float = #onnx.ref<"k", "float">} : () -> ("c" : !onnx.unknown)
    %y = onnx.node "Mul"(%x, %c) : (!onnx.unknown, !onnx.unknown) -> ("y" : !onnx.unknown)
    onnx.return %y : !onnx.unknown
  }

  // CHECK-LABEL: onnx.graph @main(%x "x" : tensor<?x4xf32> {dim_names = ["batch", ""]}, %cond "cond" : tensor<i1>) -> ("r" {type = tensor<2x4xf32>}, "z") attributes {doc_string = "a test"} {
  onnx.graph @main(%x "x" : tensor<?x4xf32> {dim_names = ["batch", ""]}, %cond "cond" : tensor<i1>)
      -> ("r" {type = tensor<2x4xf32>}, "z") attributes {doc_string = "a test"} {
    // CHECK: %[[NONE:.*]] = onnx.none : none
    %none = onnx.none : none
    // CHECK: onnx.initializer "w" {input = 1 : i64} = dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
    %w = onnx.initializer "w" {input = 1 : i64} = dense<[1.0, 2.0]> : tensor<2xf32>
    // CHECK: onnx.initializer "s" = dense<["a", "\FF"]> : tensor<2x!onnx.string>
    %s = onnx.initializer "s" = dense<["a", "\FF"]> : tensor<2x!onnx.string>
    // CHECK: onnx.initializer "sparse" = #onnx.sparse_elements<tensor<3x4xf32>, dense<2.000000e+00> : tensor<1xf32>, dense<5> : tensor<1xi64>>
    %sparse = onnx.initializer "sparse" = #onnx.sparse_elements<tensor<3x4xf32>, dense<2.0> : tensor<1xf32>, dense<5> : tensor<1xi64>>
    // CHECK: onnx.initializer "small" = dense<[1, 14]> : tensor<2xui4>
    %small = onnx.initializer "small" = dense<[1, 14]> : tensor<2xui4>

    // The kinds of attributes stay apart.
    // CHECK: onnx.node "Op" in "my.domain" overload "o"(%x, %[[NONE]])
    // CHECK-SAME: f = 1.000000e+00 : f32
    // CHECK-SAME: fs = array<f32: 1.000000e+00>
    // CHECK-SAME: gs = #onnx.list<"graphs", []>
    // CHECK-SAME: i = 1 : i64
    // CHECK-SAME: is = array<i64>
    // CHECK-SAME: s = "text"
    // CHECK-SAME: ss = []
    // CHECK-SAME: t = dense<1> : tensor<i64>
    // CHECK-SAME: tp = !onnx.optional<!onnx.seq<tensor<*xf32>>>
    // CHECK-SAME: ts = #onnx.list<"tensors", []>
    // CHECK-SAME: -> ("" : none, "y" : !onnx.map<i64, tensor<f32>>) attributes {doc_string = "why"}
    %absent, %y = onnx.node "Op" in "my.domain" overload "o"(%x, %none) {
        f = 1.0 : f32, fs = array<f32: 1.0>, gs = #onnx.list<"graphs", []>, i = 1 : i64, is = array<i64>,
        s = "text", ss = [], t = dense<1> : tensor<i64>,
        tp = !onnx.optional<!onnx.seq<tensor<*xf32>>>, ts = #onnx.list<"tensors", []>}
        : (tensor<?x4xf32>, none) -> ("" : none, "y" : !onnx.map<i64, tensor<f32>>) attributes {doc_string = "why"}

    // Subgraphs use outer values directly.
    // CHECK: %r = onnx.node "If"(%cond) : (tensor<i1>) -> ("r" : tensor<?x4xf32>)
    // CHECK-NEXT: graph then_branch = "then" () -> ("a") {
    // CHECK-NEXT:   %a = onnx.node "Relu"(%x)
    // CHECK:      graph else_branch = "else" () -> ("b") {
    %r = onnx.node "If"(%cond) : (tensor<i1>) -> ("r" : tensor<?x4xf32>)
        graph then_branch = "then" () -> ("a") {
          %a = onnx.node "Relu"(%x) : (tensor<?x4xf32>) -> ("a" : tensor<?x4xf32>)
          onnx.return %a : tensor<?x4xf32>
        }
        graph else_branch = "else" () -> ("b") {
          %b = onnx.node "Neg"(%x) : (tensor<?x4xf32>) -> ("b" : tensor<?x4xf32>)
          onnx.return %b : tensor<?x4xf32>
        }
    // CHECK: graph body = "loop" (%i "i" : tensor<i64>) -> ("i") {
    %z = onnx.node "Loop"(%x) : (tensor<?x4xf32>) -> ("z" : !onnx.opaque<"d", "n">)
        graph body = "loop" (%i "i" : tensor<i64>) -> ("i") {
          onnx.return %i : tensor<i64>
        }
    onnx.return %r, %z : tensor<?x4xf32>, !onnx.opaque<"d", "n">
  }
}
