/// \file
/// What passes on nodes of an ONNX graph have in common: a pattern for the
/// nodes of one operator, what is known of values, and building nodes.
#ifndef DLC_PASSES_SIMPLIFY_NODES_H
#define DLC_PASSES_SIMPLIFY_NODES_H

#include "dialects/Onnx/Onnx.h"
#include "mlir/IR/PatternMatch.h"
#include "passes/Remarks.h"

namespace dlc::simplify {

//===----------------------------------------------------------------------===//
// What is known of values
//===----------------------------------------------------------------------===//

/// The node of ONNX's operator `op` whose first result `value` is; null
/// otherwise.
onnx::NodeOp producerOf(mlir::Value value, llvm::StringRef op);
/// The same where nothing else uses the value.
onnx::NodeOp soleProducerOf(mlir::Value value, llvm::StringRef op);

/// The type with its rank; null when the rank is not known.
mlir::RankedTensorType tensorOf(mlir::Value value);
int64_t rankOf(mlir::Value value); ///< -1 when unknown
/// The sizes when all are known.
std::optional<llvm::ArrayRef<int64_t>> sizesOf(mlir::Value value);
bool isFloat(mlir::Value value);

/// The elements of an initializer; null when it is none, or sparse.
mlir::ElementsAttr constantOf(mlir::Value value);
/// The number of which all elements of a constant of floats or integers are;
/// only looked for among few.
std::optional<double> numberOf(mlir::Value value);
bool isNumber(mlir::Value value, double number);
/// Marks nodes that passes make of constants, for FoldConstants.
inline constexpr llvm::StringLiteral kConstantAttr = "dlc.constant";
/// Whether a value is an initializer, or made of some by marked nodes.
bool isConstantTree(mlir::Value value);
/// The elements of a small constant of floats or integers.
std::optional<llvm::SmallVector<double>> numbersOf(mlir::Value value);
std::optional<llvm::SmallVector<int64_t>> intsOf(mlir::Value value);

/// An axis counted from the front; -1 when it is out of range.
int64_t toAxis(int64_t axis, int64_t rank);

/// The operand of a node of two that is not `value`, whichever side it is on.
mlir::Value otherOperand(onnx::NodeOp node, mlir::Value value);

/// The operand of a node of two that is a constant, and the other one; null
/// when none or both are.
std::pair<mlir::Value, mlir::Value> splitConstant(onnx::NodeOp node);

/// Whether broadcasting `value` to `type` leaves `type`: a size of 1 or an
/// equal one everywhere.
bool broadcastsTo(mlir::Value value, mlir::RankedTensorType type);

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

/// Makes nodes in place of others. New values are called after the result of
/// `root`, with a word behind it; the writer keeps names apart.
class NodeBuilder {
public:
  NodeBuilder(mlir::PatternRewriter &rewriter, onnx::NodeOp root)
      : b(rewriter), root(root) {
    b.setInsertionPoint(root);
  }

  mlir::Value make(llvm::StringRef op, mlir::ValueRange operands,
                   mlir::Type type, llvm::StringRef word,
                   llvm::ArrayRef<mlir::NamedAttribute> attributes = {});
  /// A node of several results.
  onnx::NodeOp makeMany(llvm::StringRef op, mlir::ValueRange operands,
                        mlir::TypeRange types, llvm::StringRef word,
                        llvm::ArrayRef<mlir::NamedAttribute> attributes = {});
  /// A constant of int64: a vector, or a scalar.
  mlir::Value ints(llvm::ArrayRef<int64_t> values, llvm::StringRef word);
  /// A scalar (or a tensor of that shape) of a float type.
  mlir::Value number(double value, mlir::Type element, llvm::StringRef word,
                     llvm::ArrayRef<int64_t> shape = {});
  /// The value of an absent input.
  mlir::Value none();

  /// Has a node of another operator take the place of `root`, under its name.
  onnx::NodeOp replace(llvm::StringRef op, mlir::ValueRange operands,
                       llvm::ArrayRef<mlir::NamedAttribute> attributes = {});

  mlir::NamedAttribute attr(llvm::StringRef name, int64_t value);
  mlir::NamedAttribute attr(llvm::StringRef name, double value);
  mlir::NamedAttribute attr(llvm::StringRef name, llvm::StringRef value);
  mlir::NamedAttribute attr(llvm::StringRef name,
                            llvm::ArrayRef<int64_t> values);

  mlir::PatternRewriter &b;
  onnx::NodeOp root;

private:
  onnx::NodeOp create(llvm::StringRef op, mlir::ValueRange operands,
                      mlir::TypeRange types, mlir::ArrayAttr names,
                      llvm::ArrayRef<mlir::NamedAttribute> attributes);
};

/// The attributes of a node with some of them set anew.
llvm::SmallVector<mlir::NamedAttribute>
withAttributes(onnx::NodeOp node, llvm::ArrayRef<mlir::NamedAttribute> changed,
               llvm::ArrayRef<llvm::StringRef> dropped = {});

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

/// Rewrites nodes of ONNX's operator `op`.
class NodePattern : public mlir::OpRewritePattern<onnx::NodeOp> {
public:
  NodePattern(mlir::MLIRContext *context, llvm::StringRef op,
              mlir::PatternBenefit benefit = 1)
      : OpRewritePattern(context, benefit),
        op(mlir::StringAttr::get(context, op)) {}

  mlir::LogicalResult
  matchAndRewrite(onnx::NodeOp node,
                  mlir::PatternRewriter &rewriter) const final {
    if (node.getOpTypeAttr() != op || !node.getDomain().empty())
      return mlir::failure();
    return rewrite(node, rewriter);
  }

protected:
  virtual mlir::LogicalResult
  rewrite(onnx::NodeOp node, mlir::PatternRewriter &rewriter) const = 0;

private:
  mlir::StringAttr op;
};

/// A pattern whose body is a function.
template <mlir::LogicalResult (*function)(onnx::NodeOp,
                                          mlir::PatternRewriter &)>
struct FunctionPattern : NodePattern {
  using NodePattern::NodePattern;
  mlir::LogicalResult rewrite(onnx::NodeOp node,
                              mlir::PatternRewriter &rewriter) const override {
    return function(node, rewriter);
  }
};

/// Applies patterns to all graphs of the module until none changes anything,
/// and erases nodes that are used no more. A model of operators older than
/// those that passes know is left alone. What patterns give to
/// `notifyMatchFailure` becomes a remark of `pass`.
mlir::LogicalResult applyNodePatterns(mlir::ModuleOp module,
                                      mlir::RewritePatternSet patterns,
                                      llvm::StringRef pass);

/// A remark that `pass` left a node as it is, and why; for passes that are no
/// patterns.
void remarkLeft(onnx::NodeOp node, llvm::StringRef pass,
                const llvm::Twine &reason);

/// Whether passes know the module's operator set: all that the reader raised.
bool isKnownOpset(mlir::ModuleOp module);

/// Erases the nodes and initializers of a graph that nothing uses.
void eraseDeadNodes(mlir::Block &block);

/// The names of operators whose results differ from run to run.
bool isRandom(onnx::NodeOp node);

} // namespace dlc::simplify

#endif
