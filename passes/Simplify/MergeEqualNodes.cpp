// Computes once what several nodes compute, and keeps equal weights once.

#include "mlir/IR/DialectResourceBlobManager.h"
#include "passes/Simplify/Nodes.h"
#include "passes/Simplify/Passes.h"
#include "llvm/ADT/ScopedHashTable.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_MERGEEQUALNODES
#include "passes/Simplify/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::simplify;

/// A hash of some of the bytes; those of weights are many.
static uint64_t hashSome(StringRef bytes) {
  constexpr size_t part = 256, parts = 16;
  if (bytes.size() <= part * parts)
    return llvm::xxh3_64bits(bytes);
  uint64_t hash = bytes.size();
  for (size_t i = 0; i < parts; ++i)
    hash =
        llvm::hash_combine(hash, llvm::xxh3_64bits(bytes.substr(
                                     (bytes.size() - part) / parts * i, part)));
  return hash;
}

static StringRef bytesOf(DenseResourceElementsAttr value) {
  ArrayRef<char> data = value.getData();
  return StringRef(data.data(), data.size());
}

namespace {

/// Nodes and initializers by what they compute.
struct ByValue : llvm::DenseMapInfo<Operation *> {
  static unsigned getHashValue(const Operation *op) {
    if (auto initializer = dyn_cast<onnx::InitializerOp>(op)) {
      auto resource =
          dyn_cast<DenseResourceElementsAttr>(initializer.getValue());
      if (!resource)
        return unsigned(hash_value(initializer.getValue()));
      return unsigned(
          llvm::hash_combine(hashSome(bytesOf(resource)), resource.getType()));
    }
    auto node = cast<onnx::NodeOp>(op);
    return unsigned(llvm::hash_combine(
        node.getOpTypeAttr(), node.getDomainAttr(), node.getOnnxAttributes(),
        llvm::hash_combine_range(node->operand_begin(), node->operand_end())));
  }
  static bool isEqual(const Operation *lhs, const Operation *rhs) {
    auto *a = const_cast<Operation *>(lhs), *b = const_cast<Operation *>(rhs);
    if (a == b)
      return true;
    auto isNoOp = [](const Operation *op) {
      return op == getEmptyKey() || op == getTombstoneKey();
    };
    if (isNoOp(a) || isNoOp(b) || a->getName() != b->getName())
      return false;
    if (auto x = dyn_cast<onnx::InitializerOp>(a)) {
      auto y = cast<onnx::InitializerOp>(b);
      auto v = dyn_cast<DenseResourceElementsAttr>(x.getValue()),
           w = dyn_cast<DenseResourceElementsAttr>(y.getValue());
      return x.getValue() == y.getValue() ||
             (v && w && v.getType() == w.getType() && bytesOf(v) == bytesOf(w));
    }
    auto x = cast<onnx::NodeOp>(a), y = cast<onnx::NodeOp>(b);
    return x.getOpTypeAttr() == y.getOpTypeAttr() &&
           x.getDomainAttr() == y.getDomainAttr() &&
           x.getOverloadAttr() == y.getOverloadAttr() &&
           x.getOnnxAttributes() == y.getOnnxAttributes() &&
           x.getOperands() == y.getOperands() &&
           x->getResultTypes() == y->getResultTypes() &&
           // A result that the one has not, the other cannot give.
           llvm::equal(x.getResultTypes(), y.getResultTypes());
  }
};

struct MergeEqualNodesPass
    : dlc::impl::MergeEqualNodesBase<MergeEqualNodesPass> {
  using Table = llvm::ScopedHashTable<Operation *, Operation *, ByValue>;

  void runOnOperation() override {
    for (auto graph : getOperation().getOps<onnx::GraphOp>()) {
      Table table;
      visit(*graph.getBodyBlock(), table);
    }
  }

  static bool canMerge(Operation *op) {
    // A default value of an input has that input's name.
    if (auto initializer = dyn_cast<onnx::InitializerOp>(op))
      return initializer.getElements() && !initializer.getInput();
    auto node = dyn_cast<onnx::NodeOp>(op);
    return node && !isRandom(node) && node.getNumRegions() == 0;
  }

  /// Inner graphs may use what the outer ones have computed before.
  void visit(Block &block, Table &table) {
    Table::ScopeTy scope(table);
    for (Operation &op : llvm::make_early_inc_range(block)) {
      for (Region &region : op.getRegions())
        visit(region.front(), table);
      if (!canMerge(&op))
        continue;
      Operation *first = table.lookup(&op);
      if (!first) {
        table.insert(&op, &op);
        continue;
      }
      if (isa<onnx::NodeOp>(op))
        remarkDone(op.getLoc(), "dlc-merge-equal-nodes")
            << "computes what '" << getNodeName(first->getLoc())
            << "' computes";
      op.replaceAllUsesWith(first);
      op.erase();
    }
  }
};

} // namespace
