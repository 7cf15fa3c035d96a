/// \file
/// Imports a graph, node by node.
#ifndef DLC_PASSES_IMPORT_GRAPHIMPORTER_H
#define DLC_PASSES_IMPORT_GRAPHIMPORTER_H

#include "passes/Import/OpTable.h"

namespace dlc {

/// What every error about an operator that dlc lacks contains.
inline constexpr llvm::StringLiteral kNotSupported = " is not supported: ";

/// Imports the nodes of a block and of the subgraphs in it.
class GraphImporter {
public:
  explicit GraphImporter(mlir::OpBuilder &builder) : b(builder) {}
  ~GraphImporter();

  /// Imports every node of `block`, whose arguments are mapped already, up to
  /// its terminator. Reports every node that cannot be imported. On success
  /// `results` are the values that it returns.
  mlir::LogicalResult importBlock(mlir::Block &block,
                                  llvm::SmallVectorImpl<mlir::Value> &results);

  /// The same for the nodes from `first` to the end of its block.
  mlir::LogicalResult importFrom(mlir::Operation *first,
                                 llvm::SmallVectorImpl<mlir::Value> &results);

  /// Imports the block of a branch that is known to be taken in the place of
  /// its node: what follows the node can then be imported from inside of it.
  mlir::LogicalResult
  importInPlace(mlir::Block &block, onnx::NodeOp node,
                llvm::SmallVectorImpl<mlir::Value> &results);
  /// The nodes in whose place blocks are being imported around the one that is
  /// being imported, outermost first, up to the next region of its own.
  llvm::ArrayRef<onnx::NodeOp> getOuterNodes() { return outerNodes; }
  /// The same as importFrom behind such a node, number `i`.
  mlir::LogicalResult importBehind(unsigned i,
                                   llvm::SmallVectorImpl<mlir::Value> &results);

  /// Says that the node that is being imported has imported all nodes behind
  /// it in its block, too, and those behind the `levels` innermost outer nodes;
  /// `results` are what the last of these blocks returns.
  void finishBlock(llvm::ArrayRef<mlir::Value> results, unsigned levels = 0) {
    finished.emplace(results);
    finishedLevels = levels;
  }
  /// How many outer nodes the import that has just ended has finished.
  unsigned takeFinishedLevels() { return std::exchange(finishedLevels, 0); }

  /// The dlc value of a value of the onnx dialect; null for an absent one.
  mlir::Value lookup(mlir::Value value) { return values.lookup(value); }
  void map(mlir::Value onnxValue, mlir::Value value) {
    values[onnxValue] = value;
  }

  /// What is known of the elements of an integer tensor.
  void setElements(mlir::Value value, Elements elements) {
    knownElements[value] = std::move(elements);
  }
  const Elements *getElements(mlir::Value value) {
    auto it = knownElements.find(value);
    return it == knownElements.end() ? nullptr : &it->second;
  }

  /// Takes an op out of the program. It is destroyed with the importer only,
  /// so that what is known of its values is never taken for that of others.
  void discard(mlir::Operation *op);

private:
  mlir::LogicalResult importNode(onnx::NodeOp node);
  mlir::LogicalResult importOnce(onnx::NodeOp node);
  mlir::LogicalResult importInitializer(onnx::InitializerOp op);

  mlir::OpBuilder &b;
  llvm::DenseMap<mlir::Value, mlir::Value> values;
  /// Of unknown type, since their node could not be imported.
  llvm::DenseSet<mlir::Value> notImported;
  /// Errors, and the nodes that they are about.
  llvm::StringMap<llvm::SmallVector<mlir::Operation *>> said;
  llvm::DenseMap<mlir::Value, Elements> knownElements;
  llvm::SmallVector<mlir::Operation *> discarded;
  std::optional<llvm::SmallVector<mlir::Value>> finished;
  unsigned finishedLevels = 0;
  llvm::SmallVector<onnx::NodeOp> outerNodes;
};

/// The type of a value of the onnx dialect in the dlc dialect, null when it
/// has none (an unknown rank or type).
mlir::Type convertOnnxType(mlir::Type type);

/// A constant of strings; null where `value` has other elements.
mlir::Value createStrings(mlir::OpBuilder &b, mlir::Location loc,
                          mlir::ElementsAttr value);

/// Evaluates nodes on small integer tensors (what exporters compute shapes
/// with) element by element; std::nullopt for any other node.
std::optional<mlir::Value> importShapeArithmetic(NodeImport &node);

} // namespace dlc

#endif
