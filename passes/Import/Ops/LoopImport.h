/// \file
/// What If, Loop and Scan share: conditions, types that differ, and loops whose
/// bodies are subgraphs.
#ifndef DLC_PASSES_IMPORT_OPS_LOOPIMPORT_H
#define DLC_PASSES_IMPORT_OPS_LOOPIMPORT_H

#include "passes/Import/GraphImporter.h"
#include "passes/Import/Ops/Loops.h"

namespace dlc {

/// The type of values of both types: dimensions that differ are dynamic. Null
/// when ranks or element types differ.
mlir::Type commonType(mlir::Type a, mlir::Type b);

/// The only element of a tensor of booleans.
mlir::Value readCondition(NodeImport &node, mlir::Value x);

/// The truth of a condition that is known while importing.
std::optional<bool> knownCondition(NodeImport &node, mlir::Value x);

/// A loop while its body is imported: first into a `draft` that carries the
/// states only, until their types no longer change; then the draft's body
/// moves into the loop that also collects the outputs.
struct LoopImport {
  NodeImport &node;
  mlir::Block &body;                      // of the onnx dialect
  llvm::SmallVector<mlir::Value> initial; // states
  unsigned resultsBefore; // results of the body in front of the states
  mlir::scf::ForOp draft = {};
  llvm::SmallVector<mlir::Value> results = {}; // of the body

  /// Moves `value`'s computation in front of the draft if it does not depend
  /// on the iteration.
  bool hoist(mlir::Value value);

  /// Imports the body over [0, count); `mapInputs(iteration)` maps the body's
  /// arguments that are not states, which begin at `firstState`.
  llvm::LogicalResult
  importBody(mlir::Value count, unsigned firstState,
             llvm::function_ref<llvm::LogicalResult(mlir::Value)> mapInputs);

  /// What the body yields for its states, at the end of the final loop. All
  /// are copied before the first is written over: a state may be another's
  /// next one.
  llvm::SmallVector<mlir::Value> yieldStates(mlir::ValueRange states);

  /// Moves the draft's ops to the end of `block`, in which the iteration and
  /// the states have the given names.
  void moveInto(mlir::Block *block, mlir::Value iteration,
                mlir::ValueRange states);

  /// The sizes of a result of the body, if none depends on the iteration.
  std::optional<Elements> invariantSizes(mlir::Value element);

  /// No rows of an output whose elements are like `element`.
  mlir::Value noRows(mlir::Value element);

  /// `rows` and one more. Sizes that an empty output does not know yet come
  /// from the element.
  mlir::Value appendRow(mlir::Value rows, mlir::Value element);

  /// The final loop. It runs while the iteration is below `bound` (null: no
  /// bound) and, where the body returns one, its condition holds, which is
  /// `condition` at first (null: true). Outputs are collected along `axes[i]`,
  /// from the end where `fromEnd[i]`.
  ImportResult finish(mlir::Value bound, mlir::Value condition,
                      bool isConditional, llvm::ArrayRef<int64_t> axes,
                      llvm::ArrayRef<bool> fromEnd);

private:
  /// What the final loop yields, at the end of its body.
  llvm::FailureOr<llvm::SmallVector<mlir::Value>>
  yield(mlir::Value iteration, mlir::Value count, mlir::ValueRange carried,
        llvm::ArrayRef<bool> grows, llvm::ArrayRef<int64_t> axes,
        llvm::ArrayRef<bool> fromEnd);

  ImportResult finishFor(mlir::Value count, mlir::ValueRange inits,
                         llvm::ArrayRef<bool> grows,
                         llvm::ArrayRef<int64_t> axes,
                         llvm::ArrayRef<bool> fromEnd);

  ImportResult finishWhile(mlir::Value bound, mlir::Value condition,
                           bool isConditional, mlir::ValueRange carriedInits,
                           llvm::ArrayRef<bool> grows,
                           llvm::ArrayRef<int64_t> axes,
                           llvm::ArrayRef<bool> fromEnd);

  /// Rows collected in dimension 0, in their order and at their axis.
  mlir::Value arrangeRows(mlir::Value rows, int64_t axis, bool fromEnd);
};

} // namespace dlc

#endif
