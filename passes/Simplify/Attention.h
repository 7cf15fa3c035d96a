/// \file
/// What RecognizeAttention is made of.
#ifndef DLC_PASSES_SIMPLIFY_ATTENTION_H
#define DLC_PASSES_SIMPLIFY_ATTENTION_H

#include "passes/Simplify/Nodes.h"

namespace dlc::simplify {

/// A pattern that takes into Attention what splits a tensor into heads.
void populatePackHeads(mlir::RewritePatternSet &patterns);

/// Takes factors off: Mul and Div by a number, those that only this uses.
mlir::Value readFactor(mlir::Value value, double &factor);

/// Marks the nodes that put a mask on scores which the operator takes beside
/// them, and removes the marks. Patterns read no sizes of other tensors, so
/// this is before them.
void markMasks(mlir::ModuleOp module);
void unmarkMasks(mlir::ModuleOp module);

/// What is put on scores before their softmax.
class Masks {
public:
  /// Takes marked nodes off `scores`, those that only this uses. False where a
  /// sum is left.
  bool read(mlir::Value &scores);
  /// One mask of that type for all queries, which lie along an axis of
  /// `queries`; null for none.
  mlir::Value build(NodeBuilder &make, mlir::Type element, mlir::Value queries,
                    int64_t axis) const;

private:
  llvm::SmallVector<onnx::NodeOp> nodes; ///< from the last to the first
};

} // namespace dlc::simplify

#endif
