// The passes of the phase `simplify`: from nodes of ONNX to fewer of them.
#ifndef DLC_PASSES_SIMPLIFY
#define DLC_PASSES_SIMPLIFY

include "mlir/Pass/PassBase.td"

class Simplify_Pass<string name> : Pass<name, "::mlir::ModuleOp"> {
  let dependentDialects = ["::dlc::onnx::OnnxDialect"];
}

def ConstantsToInitializers : Simplify_Pass<"dlc-constants-to-initializers"> {
  let summary = "Make initializers of Constant nodes";
  let description = [{
    ```mlir
    %c = onnx.node "Constant"() {value_float = 2.0 : f32} : () -> ("c" : tensor<f32>)
    ```
    becomes
    ```mlir
    %c = onnx.initializer "c" = dense<2.0> : tensor<f32>
    ```
    Sparse constants stay.
  }];
}

def RemoveIdentities : Simplify_Pass<"dlc-remove-identities"> {
  let summary = "Remove nodes that give back their input, and merge reshapes and casts";
  let description = [{
    Identity, Dropout, a Cast to the same type, a Reshape, Expand, Slice, Pad,
    Transpose or Tile that changes nothing, a window of one element, x * 1,
    x + 0, x / 1 ... where the shape stays.

    ```mlir
    %a = onnx.node "Reshape"(%x, %s) : (tensor<2x12xf32>, tensor<3xi64>) -> ("a" : tensor<2x3x4xf32>)
    %b = onnx.node "Flatten"(%a) : (tensor<2x3x4xf32>) -> ("b" : tensor<2x12xf32>)
    %y = onnx.node "Relu"(%b) : (tensor<2x12xf32>) -> ("y" : tensor<2x12xf32>)
    ```
    becomes
    ```mlir
    %y = onnx.node "Relu"(%x) : (tensor<2x12xf32>) -> ("y" : tensor<2x12xf32>)
    ```
  }];
}

def MergeEqualNodes : Simplify_Pass<"dlc-merge-equal-nodes"> {
  let summary = "Compute equal nodes once, and keep equal weights once";
  let description = [{
    Nodes of one operator with equal attributes and inputs, and initializers
    of equal bytes, become one; a node in a subgraph also takes what the graph
    around it has computed before.

    ```mlir
    %a = onnx.node "Relu"(%x) : (tensor<4xf32>) -> ("a" : tensor<4xf32>)
    %b = onnx.node "Relu"(%x) : (tensor<4xf32>) -> ("b" : tensor<4xf32>)
    %y = onnx.node "Add"(%a, %b) : ...
    ```
    becomes
    ```mlir
    %a = onnx.node "Relu"(%x) : (tensor<4xf32>) -> ("a" : tensor<4xf32>)
    %y = onnx.node "Add"(%a, %a) : ...
    ```
    Random numbers, and operators of other domains, stay as they are.
  }];
}

#endif
