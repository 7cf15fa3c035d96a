/// \file
/// What the operators of ai.onnx.ml share: attributes that are tables, class
/// labels, post transforms, and look-up of keys.
#ifndef DLC_PASSES_IMPORT_OPS_ML_H
#define DLC_PASSES_IMPORT_OPS_ML_H

#include "passes/Import/Ops/Emit.h"

namespace dlc {

/// The numbers of an attribute that is a list of floats or integers, or, under
/// its name or that name with "_as_tensor" behind, a tensor. None: absent.
std::optional<llvm::SmallVector<double>> readNumbers(NodeImport &node,
                                                     llvm::StringRef name);

/// The elements of a tensor of integers or floats, nullopt for others.
std::optional<llvm::SmallVector<double>> numbersOf(mlir::ElementsAttr value);

/// A constant of numbers of a float or integer type.
mlir::Value numberTable(NodeImport &node, llvm::ArrayRef<double> values,
                        llvm::ArrayRef<int64_t> shape, mlir::Type type);

/// Input 0 as a matrix [rows, features] of `type`; one of rank 1 is one row.
/// Null, and an error, for other ranks.
mlir::Value matrixInput(NodeImport &node, mlir::Type type);

/// The float type that a model of X is computed in: f64 for that, else f32.
mlir::Type scoreType(NodeImport &node, mlir::Value x);

/// `classlabels_strings` or the integers of one of the other names, as a
/// table. Null, and an error, where there is none.
mlir::Value readLabels(NodeImport &node);

/// The elements of a table at `positions`, a tensor of integers.
mlir::Value takeLabels(NodeImport &node, mlir::Value table,
                       mlir::Value positions);

/// One of two labels of a table by a condition, tensor by tensor.
mlir::Value chooseLabel(NodeImport &node, mlir::Value table,
                        mlir::Value condition, int64_t ifTrue, int64_t ifFalse);

/// The position of the largest element of each row, the first of equal ones.
mlir::Value largestOfRow(NodeImport &node, mlir::Value scores);

/// Scores [rows, n] after a post transform of that name. Null, and an error,
/// for an unknown one.
mlir::Value applyPostTransform(NodeImport &node, mlir::Value scores,
                               llvm::StringRef name);
/// The same with the attribute `post_transform`.
inline mlir::Value applyPostTransform(NodeImport &node, mlir::Value scores) {
  return applyPostTransform(node, scores,
                            node.getString("post_transform", "NONE"));
}

/// Two scores of each row out of one: what ONNX Runtime makes of a binary
/// classifier. `isMixed`: of weights some of which are negative.
mlir::Value secondScore(NodeImport &node, mlir::Value score, bool isMixed);

/// Keys that elements of a tensor are looked up in.
struct Keys {
  llvm::SmallVector<double> numbers;
  llvm::SmallVector<int64_t> integers;
  llvm::SmallVector<llvm::StringRef> strings;

  size_t size() const {
    return std::max({numbers.size(), integers.size(), strings.size()});
  }
};

/// For each element of `x` the place of its key, -1 where there is none, as a
/// tensor of `index`. Of equal keys the first counts; NaN is a key like others.
/// Null, and an error, where the keys are not of x's type.
mlir::Value findKeys(NodeImport &node, mlir::Value x, const Keys &keys);

} // namespace dlc

#endif
