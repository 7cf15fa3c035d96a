/// \file
/// What FoldShapes knows of sizes.
#ifndef DLC_PASSES_SIMPLIFY_FOLDSHAPES_H
#define DLC_PASSES_SIMPLIFY_FOLDSHAPES_H

#include "passes/Simplify/Nodes.h"

namespace dlc::simplify {

/// Larger integer tensors are no shapes.
inline constexpr int64_t kMostElements = 64;

/// An element of an integer tensor: a number, a size of a tensor, or unknown.
struct Element {
  enum Kind { Unknown, Number, Size } kind = Unknown;
  int64_t number = 0;
  mlir::Value tensor; ///< of a size
  int64_t axis = 0;
  llvm::StringRef name; ///< of a size; equal names are equal sizes

  static Element of(int64_t number) { return {Number, number, {}, 0, ""}; }
  bool isNumber() const { return kind == Number; }
  bool operator==(const Element &other) const {
    if (kind != other.kind || kind == Unknown)
      return false;
    if (kind == Number)
      return number == other.number;
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

private:
  void visit(mlir::Block &block);
  std::optional<Elements> evaluate(onnx::NodeOp node);
  const Elements *find(mlir::Value value);
  Element sizeOf(mlir::Value value, int64_t axis);
  Element trace(mlir::Value value, int64_t axis);
  Element traceBroadcast(mlir::ValueRange operands, int64_t rank, int64_t axis);
  mlir::ArrayAttr dimNames(mlir::Value value);
  bool rewrite(onnx::NodeOp node, const Elements &elements);
  void rewriteReshape(onnx::NodeOp node);
  bool rewriteGemm(onnx::NodeOp node);
  bool rewriteExpand(onnx::NodeOp node);

  onnx::GraphOp graph;
  llvm::DenseMap<mlir::Value, Elements> known;
  llvm::DenseMap<std::pair<mlir::Value, int64_t>, Element> sizes;
  /// The size of an input that stands for all of that name.
  llvm::StringMap<std::pair<mlir::Value, int64_t>> inputSizes;
};

} // namespace dlc::simplify

#endif
