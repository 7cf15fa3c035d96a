/// \file
/// One step of a recurrent network, as RecognizeRecurrence reads it.
#ifndef DLC_PASSES_SIMPLIFY_RECURRENCE_H
#define DLC_PASSES_SIMPLIFY_RECURRENCE_H

#include "passes/Simplify/Affine.h"

namespace dlc::simplify {

/// input * weights, of which [begin, end) of the inputs.
struct RecurrentTerm {
  mlir::Value input, weights;
  bool isTurned = false; ///< the weights are [outputs, inputs]
  int64_t begin = 0, end = 0;

  bool isLike(const RecurrentTerm &other) const {
    return weights == other.weights && isTurned == other.isTurned &&
           begin == other.begin && end == other.end;
  }
};

/// The sum of products for some gates, side by side.
struct RecurrentSum {
  RecurrentTerm ofInput, ofHidden;
  /// Vectors that are added to them.
  llvm::SmallVector<mlir::Value> inputBiases, hiddenBiases;

  bool isLike(const RecurrentSum &other) const {
    return ofInput.isLike(other.ofInput) && ofHidden.isLike(other.ofHidden) &&
           inputBiases == other.inputBiases &&
           hiddenBiases == other.hiddenBiases;
  }
};

/// One step of RNN, LSTM or GRU.
struct RecurrentStep {
  llvm::StringRef op;
  llvm::StringRef activation; ///< of RNN
  RecurrentSum sum;
  /// Where the gates of ONNX, in its order, stand in the sum.
  llvm::SmallVector<int64_t> gates;
  mlir::Value hidden, cell;             ///< what it makes
  mlir::Value hiddenBefore, cellBefore; ///< what it takes
  /// The element of the sequence that it takes.
  mlir::Value sequence;
  int64_t axis = 0, index = 0;
  /// The nodes it consists of.
  llvm::SmallDenseSet<mlir::Operation *, 32> nodes;

  /// Whether it does to its inputs what `other` does to its own.
  bool isLike(const RecurrentStep &other) const {
    return op == other.op && activation == other.activation &&
           sum.isLike(other.sum) && gates == other.gates &&
           sequence == other.sequence && axis == other.axis;
  }
};

/// Reads the step whose new hidden state a node makes.
std::optional<RecurrentStep> readRecurrentStep(onnx::NodeOp node);

} // namespace dlc::simplify

#endif
