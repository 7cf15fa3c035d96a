/// \file
/// What RecognizeRotary is made of.
#ifndef DLC_PASSES_SIMPLIFY_ROTARY_H
#define DLC_PASSES_SIMPLIFY_ROTARY_H

#include "passes/Simplify/Affine.h"

namespace dlc::simplify {

/// Marks the products of which one operand is a table for the other one, and
/// removes the marks. Patterns read no sizes of other tensors, so this is
/// before them.
void markTables(mlir::ModuleOp module);
void unmarkTables(mlir::ModuleOp module);

/// How the elements that are turned together lie in the last axis.
enum class Turns {
  Halves, ///< x[i] and x[half + i]
  Pairs,  ///< x[2 i] and x[2 i + 1]
};

/// The values of two columns in turns: Concat(a, b) whose last two axes a
/// Reshape joins. Nothing otherwise.
std::optional<std::pair<mlir::Value, mlir::Value>> readTurns(mlir::Value value);

/// A table of sines or cosines: of [batch, length, half], or of [length, half]
/// where it is a constant.
class Table {
public:
  explicit Table(Turns turns) : turns(turns) {}
  /// Whether the table that a marked product multiplies with has each number
  /// twice, as all elements of x need it.
  bool readTwice(onnx::NodeOp product, mlir::Value value);
  /// Whether it is one for the elements of one half of x.
  bool readOnce(onnx::NodeOp product, mlir::Value value);
  mlir::Value build(Weights &make, mlir::Value x);
  bool isConstant() const { return bool(constant); }

private:
  mlir::Value buildConstant(Weights &make, mlir::Value x);
  mlir::Value buildHalf(Weights &make);
  mlir::Value takeHalf(Weights &make, mlir::Value value);

  Turns turns;
  int64_t kind = 0;
  bool isOnce = false;
  mlir::Value constant;
  /// f of Unsqueeze(Cos(Concat(f, f)) * scale, 1), a constant of which rows are
  /// taken, or what has each number once.
  mlir::Value angles;
  llvm::SmallVector<onnx::NodeOp> chain; ///< from the last to the first
};

/// The positions of all of a sequence, for each of x's batch.
mlir::Value makePositions(Weights &make, mlir::Value x);

} // namespace dlc::simplify

#endif
