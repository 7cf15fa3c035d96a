// RUN: dlc-opt --split-input-file --dlc-hoist-invariants %s | FileCheck %s

// The constant leaves the branch, the sum stays.
// CHECK-LABEL: onnx.graph
// CHECK-NEXT: onnx.initializer "w"
// CHECK-NEXT: "If"
// CHECK: "Add"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%c "c" : tensor<i1>, %x "x" : tensor<4xf32>) -> ("y") {
    %y = onnx.node "If"(%c) : (tensor<i1>) -> ("y" : tensor<4xf32>)
      graph then_branch = "t" () -> ("a") {
        %w = onnx.initializer "w" = dense<1.0> : tensor<4xf32>
        %a = onnx.node "Add"(%x, %w) : (tensor<4xf32>, tensor<4xf32>) -> ("a" : tensor<4xf32>)
        onnx.return %a : tensor<4xf32>
      }
      graph else_branch = "e" () -> ("b") {
        %b = onnx.node "Neg"(%x) : (tensor<4xf32>) -> ("b" : tensor<4xf32>)
        onnx.return %b : tensor<4xf32>
      }
    onnx.return %y : tensor<4xf32>
  }
}

// -----

// A constant chooses.
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "If"
// CHECK: %[[B:.*]] = onnx.node "Neg"(%x)
// CHECK-NEXT: onnx.return %[[B]]
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<4xf32>) -> ("y") {
    %c = onnx.initializer "c" = dense<false> : tensor<i1>
    %y = onnx.node "If"(%c) : (tensor<i1>) -> ("y" : tensor<4xf32>)
      graph then_branch = "t" () -> ("a") {
        %a = onnx.node "Exp"(%x) : (tensor<4xf32>) -> ("a" : tensor<4xf32>)
        onnx.return %a : tensor<4xf32>
      }
      graph else_branch = "e" () -> ("b") {
        %b = onnx.node "Neg"(%x) : (tensor<4xf32>) -> ("b" : tensor<4xf32>)
        onnx.return %b : tensor<4xf32>
      }
    onnx.return %y : tensor<4xf32>
  }
}

// -----

// What a loop repeats is done once; random numbers differ each time, and the
// sum depends on what goes round.
// CHECK-LABEL: onnx.graph
// CHECK: "Exp"(%x)
// CHECK: "Loop"
// CHECK: "RandomNormalLike"
// CHECK: "Add"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%n "n" : tensor<i64>, %c "c" : tensor<i1>, %x "x" : tensor<4xf32>) -> ("y") {
    %y = onnx.node "Loop"(%n, %c, %x) : (tensor<i64>, tensor<i1>, tensor<4xf32>) -> ("y" : tensor<4xf32>)
      graph body = "b" (%i "i" : tensor<i64>, %d "d" : tensor<i1>, %s "s" : tensor<4xf32>) -> ("d1", "t") {
        %d1 = onnx.node "Identity"(%d) : (tensor<i1>) -> ("d1" : tensor<i1>)
        %e = onnx.node "Exp"(%x) : (tensor<4xf32>) -> ("e" : tensor<4xf32>)
        %r = onnx.node "RandomNormalLike"(%x) : (tensor<4xf32>) -> ("r" : tensor<4xf32>)
        %f = onnx.node "Mul"(%e, %r) : (tensor<4xf32>, tensor<4xf32>) -> ("f" : tensor<4xf32>)
        %t = onnx.node "Add"(%s, %f) : (tensor<4xf32>, tensor<4xf32>) -> ("t" : tensor<4xf32>)
        onnx.return %d1, %t : tensor<i1>, tensor<4xf32>
      }
    onnx.return %y : tensor<4xf32>
  }
}

// -----

// Parts of a weight that are joined leave the branch together; what is made of
// an input stays.
// CHECK-LABEL: onnx.graph
// CHECK: "Slice"
// CHECK: "Concat"
// CHECK: "If"
// CHECK: graph then_branch
// CHECK-NEXT: "Mul"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%c "c" : tensor<i1>, %x "x" : tensor<4xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
    %0 = onnx.initializer "0" = dense<0> : tensor<1xi64>
    %2 = onnx.initializer "2" = dense<2> : tensor<1xi64>
    %y = onnx.node "If"(%c) : (tensor<i1>) -> ("y" : tensor<4xf32>)
      graph then_branch = "t" () -> ("a") {
        %s = onnx.node "Slice"(%w, %0, %2) : (tensor<4xf32>, tensor<1xi64>, tensor<1xi64>) -> ("s" : tensor<2xf32>)
        %j = onnx.node "Concat"(%s, %s) {axis = 0 : i64} : (tensor<2xf32>, tensor<2xf32>) -> ("j" : tensor<4xf32>)
        %a = onnx.node "Mul"(%x, %j) : (tensor<4xf32>, tensor<4xf32>) -> ("a" : tensor<4xf32>)
        onnx.return %a : tensor<4xf32>
      }
      graph else_branch = "e" () -> ("b") {
        %b = onnx.node "Neg"(%x) : (tensor<4xf32>) -> ("b" : tensor<4xf32>)
        onnx.return %b : tensor<4xf32>
      }
    onnx.return %y : tensor<4xf32>
  }
}

// -----

// A Gather may fail, which it must not where the loop runs never; of three
// times the first one would.
// CHECK-LABEL: onnx.graph
// CHECK: "Loop"
// CHECK: "Gather"
// CHECK: "Gather"(%x, %j)
// CHECK: "Loop"
// CHECK-NOT: "Gather"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%n "n" : tensor<i64>, %x "x" : tensor<?x4xf32>, %j "j" : tensor<i64>, %s "s" : tensor<4xf32>) -> ("y", "z") {
    %three = onnx.initializer "three" = dense<3> : tensor<i64>
    %none = onnx.none : none
    %y = onnx.node "Loop"(%n, %none, %s) : (tensor<i64>, none, tensor<4xf32>) -> ("y" : tensor<4xf32>)
      graph body = "b" (%i "i" : tensor<i64>, %d "d" : tensor<i1>, %t "t" : tensor<4xf32>) -> ("d1", "u") {
        %d1 = onnx.node "Identity"(%d) : (tensor<i1>) -> ("d1" : tensor<i1>)
        %g = onnx.node "Gather"(%x, %j) : (tensor<?x4xf32>, tensor<i64>) -> ("g" : tensor<4xf32>)
        %u = onnx.node "Add"(%t, %g) : (tensor<4xf32>, tensor<4xf32>) -> ("u" : tensor<4xf32>)
        onnx.return %d1, %u : tensor<i1>, tensor<4xf32>
      }
    %z = onnx.node "Loop"(%three, %none, %s) : (tensor<i64>, none, tensor<4xf32>) -> ("z" : tensor<4xf32>)
      graph body = "b" (%i "i" : tensor<i64>, %d "d" : tensor<i1>, %t "t" : tensor<4xf32>) -> ("d1", "u") {
        %d1 = onnx.node "Identity"(%d) : (tensor<i1>) -> ("d1" : tensor<i1>)
        %g = onnx.node "Gather"(%x, %j) : (tensor<?x4xf32>, tensor<i64>) -> ("g" : tensor<4xf32>)
        %u = onnx.node "Add"(%t, %g) : (tensor<4xf32>, tensor<4xf32>) -> ("u" : tensor<4xf32>)
        onnx.return %d1, %u : tensor<i1>, tensor<4xf32>
      }
    onnx.return %y, %z : tensor<4xf32>, tensor<4xf32>
  }
}
