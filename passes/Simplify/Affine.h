/// \file
/// Scales and shifts by constants, as FoldAffine reads and folds them.
#ifndef DLC_PASSES_SIMPLIFY_AFFINE_H
#define DLC_PASSES_SIMPLIFY_AFFINE_H

#include "passes/Simplify/Nodes.h"

namespace dlc::simplify {

/// y = x * scale + shift along one axis; vectors of constants, of one element
/// or of as many as the axis has. Either may be absent.
struct Affine {
  mlir::Value x, scale, shift;
};

/// Computes with constants; FoldConstants evaluates it.
class Weights : public NodeBuilder {
public:
  using NodeBuilder::NodeBuilder;

  /// A marked node on constants.
  mlir::Value fold(llvm::StringRef op, mlir::ValueRange operands,
                   mlir::Type type,
                   llvm::ArrayRef<mlir::NamedAttribute> attributes = {});
  mlir::Value reshape(mlir::Value value, llvm::ArrayRef<int64_t> shape);
  mlir::Value transpose(mlir::Value value, llvm::ArrayRef<int64_t> perm);
  /// An elementwise operator of two, which broadcasts.
  mlir::Value binary(llvm::StringRef op, mlir::Value a, mlir::Value b);
  mlir::Value unary(llvm::StringRef op, mlir::Value x) {
    return fold(op, x, x.getType());
  }
  /// The product of two matrices, or of a vector and a matrix.
  mlir::Value matmul(mlir::Value a, mlir::Value b);
  /// The sum over some axes, which go away.
  mlir::Value sum(mlir::Value value, llvm::ArrayRef<int64_t> axes);
  mlir::Value one(mlir::Value like) {
    return number(1, mlir::getElementTypeOrSelf(like.getType()), "one");
  }
};

/// Whether a constant varies along `axis` of `rank` dimensions only.
bool isVector(mlir::Value constant, int64_t rank, int64_t axis, int64_t size);
/// A constant as a tensor of rank 1.
mlir::Value toVector(Weights &make, mlir::Value constant);

/// The variable operand of a node that could be an Affine: what can be told
/// without building. Null otherwise.
mlir::Value variableOf(onnx::NodeOp node);
/// Whether a node is Mul, Div, Add, Sub or BatchNormalization by constants
/// along `axis` of `size`. Patterns ask before they build anything.
bool isAffine(onnx::NodeOp node, int64_t axis, int64_t size);
/// Reads what isAffine().
Affine readAffine(Weights &make, onnx::NodeOp node);
/// bias * scale + shift, a vector of `size`; null when it is nothing.
mlir::Value foldBias(Weights &make, mlir::Value bias, const Affine &affine,
                     int64_t size);

/// Whether a number that is added to all of an AveragePool's inputs is added to
/// its outputs: not where these count the zeros of a padding.
bool poolKeepsShift(onnx::NodeOp pool);

/// The operators that isAffine() knows.
inline constexpr llvm::StringLiteral kAffineOps[] = {"Mul", "Div", "Add", "Sub",
                                                     "BatchNormalization"};

/// Patterns for what stands in front of contractions, and for what stands
/// behind activations and joins.
void populateFoldInFront(mlir::RewritePatternSet &patterns);
void populateFoldThrough(mlir::RewritePatternSet &patterns);

} // namespace dlc::simplify

#endif
