/// \file
/// What FoldShapes knows of sizes.
#ifndef DLC_PASSES_SIMPLIFY_FOLDSHAPES_H
#define DLC_PASSES_SIMPLIFY_FOLDSHAPES_H

#include "passes/Simplify/Nodes.h"

namespace dlc::simplify {

/// Larger integer tensors are no shapes.
inline constexpr int64_t kMostElements = 64;

/// An element of an integer tensor: a number, a size of a tensor, the smaller
/// one of a number and a size, or unknown.
struct Element {
  enum Kind { Unknown, Number, Size, Least } kind = Unknown;
  int64_t number = 0;
  mlir::Value tensor; ///< of a size
  int64_t axis = 0;
  llvm::StringRef name; ///< of a size; equal names are equal sizes

  static Element of(int64_t number) { return {Number, number, {}, 0, ""}; }
  static Element least(int64_t number, Element size) {
    return {Least, number, size.tensor, size.axis, size.name};
  }
  bool isNumber() const { return kind == Number; }
  bool operator==(const Element &other) const {
    if (kind != other.kind || kind == Unknown || number != other.number)
      return false;
    return kind == Number || hasSizeOf(other);
  }
  /// Whether this is the smaller one of a number and `size`.
  bool isLeastOf(const Element &size) const {
    return kind == Least && size.kind == Size && hasSizeOf(size);
  }

private:
  bool hasSizeOf(const Element &other) const {
    return (!name.empty() && name == other.name) ||
           (tensor == other.tensor && axis == other.axis);
  }
};

using Elements = llvm::SmallVector<Element, 4>;

/// Follows integer tensors and sizes through a graph, and folds them.
class ShapeFolder {
public:
  explicit ShapeFolder(onnx::GraphOp graph) : graph(graph) {}

  void run() { visit(*graph.getBodyBlock()); }

  /// For others than run(), while the graph stays as it is: learns the sizes of
  /// inputs, then of one node after the other, in order, so that no trace goes
  /// far back. Gives the elements of a shape.
  void learnArguments(mlir::Block &block);
  const Elements *learn(onnx::NodeOp node);
  /// The size of a tensor along an axis.
  Element sizeOf(mlir::Value value, int64_t axis);

private:
  void visit(mlir::Block &block);
  std::optional<Elements> evaluate(onnx::NodeOp node);
  const Elements *find(mlir::Value value);
  Element trace(mlir::Value value, int64_t axis);
  void learnEqualSizes(onnx::NodeOp check);
  Element traceSlice(onnx::NodeOp slice, int64_t axis);
  Element traceRest(mlir::Value value, mlir::ArrayRef<Element> wanted);
  Element traceBroadcast(mlir::ValueRange operands, int64_t rank, int64_t axis);
  mlir::ArrayAttr dimNames(mlir::Value value);
  bool rewrite(onnx::NodeOp node, const Elements &elements);
  void rewriteReshape(onnx::NodeOp node);
  bool rewriteGemm(onnx::NodeOp node);
  bool rewriteSoftmax(onnx::NodeOp node);
  bool rewriteExpand(onnx::NodeOp node);
  void refineType(mlir::Value value);

  onnx::GraphOp graph;
  llvm::DenseMap<mlir::Value, Elements> known;
  llvm::DenseMap<std::pair<mlir::Value, int64_t>, Element> sizes;
  /// The size of an input that stands for all of that name.
  llvm::StringMap<std::pair<mlir::Value, int64_t>> inputSizes;
};

} // namespace dlc::simplify

#endif
