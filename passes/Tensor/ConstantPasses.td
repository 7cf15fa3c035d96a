// The passes of the phase `tensor` on constants.
#ifndef DLC_PASSES_TENSOR_CONSTANT
#define DLC_PASSES_TENSOR_CONSTANT

include "mlir/Pass/PassBase.td"

def EvaluateConstants : Pass<"dlc-evaluate-constants", "::mlir::ModuleOp"> {
  let summary = "Evaluate at compile time what depends on constants only";
  let description = [{
    The ops of @main whose operands are constants form a model of their own,
    which is compiled for this machine, run once in this process, and replaced
    by its results. So no operator is implemented a second time. Values that
    are much larger than what they come from stay, and so do those that cost
    nothing (fills). What depends on constants only inside of a loop or a
    branch is taken out of it first. What transposes, reshapes and slices make
    of a constant, as layouts of weights, is copied without code for it.

    An op with the attribute `dlc.expand` makes a value that is large and
    worth having. With `expand=init` it moves, with all large values that
    depend on it, to the function @init, whose results @main reads as
    `dlc.expanded`; the object then holds what they come from. With
    `expand=object` it is evaluated as the others are.

    ```mlir
    %w = arith.constant dense_resource<w> : tensor<64x3x3x3xf32>
    %t = linalg.transpose ins(%w) ...
    ```
    becomes
    ```mlir
    %t = arith.constant dense_resource<folded> : tensor<3x3x3x64xf32>
    ```
    and
    ```mlir
    func.func @main(...) {
      %w = arith.constant dense_resource<w> : tensor<3x3x64x64xf32>
      %u = dlc.winograd_weights %w outs %e ... {dlc.expand}
    ```
    becomes
    ```mlir
    func.func @main(...) {
      %u = dlc.expanded 0 : tensor<6x6x64x64xf32>
      ...
    func.func @init() -> tensor<6x6x64x64xf32> {
      %w = arith.constant dense_resource<w> : tensor<3x3x64x64xf32>
      %u = dlc.winograd_weights %w outs %e ...
      return %u
    ```
  }];
  let options = [
    Option<"expand", "expand", "std::string", "\"init\"",
           "where values much larger than what they come from are made: init, "
           "before the first run, or object, at compile time">];
  let dependentDialects = ["::dlc::DlcDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect"];
}

def FlushSubnormals : Pass<"dlc-flush-subnormals", "::mlir::ModuleOp"> {
  let summary = "Take subnormal weights for zeros";
  let description = [{
    Trained weights that decayed: of f32, all below 1.2e-38. x86 CPUs take some
    150 cycles for a product with one. Only weights of contractions, and only
    beside such of 1.6e-30 or more, against which they are less than what a sum is
    rounded by.

    ```mlir
    %w = arith.constant dense<[[0.5, 1.0e-40]]> : tensor<1x2xf32>
    %r = dlc.contract %x, %w ...
    ```
    becomes
    ```mlir
    %w = arith.constant dense<[[0.5, 0.0]]> : tensor<1x2xf32>
    %r = dlc.contract %x, %w ...
    ```
    For CPUs.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def EmbedTables : Pass<"dlc-embed-tables", "::mlir::ModuleOp"> {
  let summary = "Make constant tables of bytes part of what looks up in them";
  let description = [{
    So that a function of a byte is one elementwise op, which fuses with
    others, goes into the epilogue of a contraction, and works on vectors.

    ```mlir
    %i = arith.index_castui %x : i8 to index
    %y = tensor.extract %table[%i] : tensor<256xi8>
    ```
    becomes
    ```mlir
    %y = dlc.lookup %x {table = array<i8: ...>} : i8
    ```
  }];
  let dependentDialects = ["::dlc::DlcDialect"];
}

#endif
