// Checks of what a node's inputs have to be: at compile time where the types
// say it, in the run where they don't.

#include "lib/OnnxReader/OnnxReader.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "passes/Import/OpTable.h"

using namespace mlir;
using namespace dlc;

std::string NodeImport::inputName(unsigned i) {
  std::string name =
      getFormalInput(node.getDomain(), node.getOpType(), node.getOpset(), i);
  return name.empty() ? "input " + std::to_string(i) : name;
}

void NodeImport::check(Value condition, const Twine &message, int32_t status) {
  if (getConstantIntValue(condition).value_or(0))
    return;
  auto op = cf::AssertOp::create(b, loc, condition, message.str());
  if (status)
    op->setAttr(kStatusAttr, b.getI32IntegerAttr(status));
}

/// "[1, ?, 4]".
template <typename Range> static std::string printSizes(const Range &sizes) {
  std::string text = "[";
  llvm::raw_string_ostream stream(text);
  llvm::interleaveComma(sizes, stream, [&](std::optional<int64_t> size) {
    if (size && ShapedType::isStatic(*size))
      stream << *size;
    else
      stream << "?";
  });
  return text + "]";
}

static std::string printSizes(ArrayRef<OpFoldResult> sizes) {
  return printSizes(llvm::map_range(
      sizes, [](OpFoldResult size) { return getConstantIntValue(size); }));
}

static std::string printShape(ArrayRef<int64_t> shape) {
  return printSizes(
      llvm::map_range(shape, [](int64_t size) { return std::optional(size); }));
}

/// Both conditions; either may be null for one that holds.
static Value both(NodeImport &node, Value a, Value c) {
  return a ? node.b.createOrFold<arith::AndIOp>(node.loc, a, c) : c;
}

static Value compare(NodeImport &node, arith::CmpIPredicate predicate,
                     OpFoldResult a, OpFoldResult c) {
  return node.b.createOrFold<arith::CmpIOp>(
      node.loc, predicate, getValueOrCreateConstantIndexOp(node.b, node.loc, a),
      getValueOrCreateConstantIndexOp(node.b, node.loc, c));
}

/// `x`, which errors call `name`, has the sizes, or, with `mayRepeat`, 1 or
/// none in their place.
static LogicalResult expectSizes(NodeImport &node, Value x,
                                 const std::string &name,
                                 ArrayRef<OpFoldResult> sizes, StringRef words,
                                 bool mayRepeat) {
  if (!x || node.hasFailed)
    return failure(node.hasFailed);
  std::string message =
      "expected " + name +
      (mayRepeat ? " that broadcasts to the shape " : " of the shape ") +
      (words.empty() ? "" : "[" + words.str() + "] = ") + printSizes(sizes);
  int64_t rank = node.rank(x), skipped = int64_t(sizes.size()) - rank;
  auto isWrong = [&]() -> LogicalResult {
    node.error() << message << ", found "
                 << printShape(node.type(x).getShape());
    return failure();
  };
  if (skipped < 0 || (skipped && !mayRepeat))
    return isWrong();
  Value condition;
  for (int64_t dim = 0; dim < rank; ++dim) {
    OpFoldResult have = node.dim(x, dim), want = sizes[skipped + dim];
    std::optional<int64_t> known = getConstantIntValue(have);
    if (areEqualSizes(have, want) || (mayRepeat && known == 1))
      continue;
    if (known && getConstantIntValue(want))
      return isWrong();
    Value fits = compare(node, arith::CmpIPredicate::eq, have, want);
    if (mayRepeat)
      fits = node.b.createOrFold<arith::OrIOp>(
          node.loc, fits,
          compare(node, arith::CmpIPredicate::eq, have, node.index(1)));
    condition = both(node, condition, fits);
  }
  if (condition)
    node.check(condition, message);
  return success();
}

LogicalResult NodeImport::expectRank(unsigned i, ArrayRef<int64_t> ranks) {
  Value x = input(i);
  if (!x)
    return success();
  int64_t found = rank(x);
  if (!hasFailed && !llvm::is_contained(ranks, found)) {
    InFlightDiagnostic diagnostic = error();
    diagnostic << "expected " << inputName(i) << " of rank ";
    llvm::interleave(ranks, diagnostic, " or ");
    diagnostic << ", found rank " << found;
  }
  return failure(hasFailed);
}

LogicalResult NodeImport::expectShape(unsigned i, ArrayRef<OpFoldResult> sizes,
                                      StringRef words) {
  return expectSizes(*this, input(i), inputName(i), sizes, words,
                     /*mayRepeat=*/false);
}

LogicalResult NodeImport::expectBroadcast(unsigned i,
                                          ArrayRef<OpFoldResult> sizes,
                                          StringRef words) {
  return expectSizes(*this, input(i), inputName(i), sizes, words,
                     /*mayRepeat=*/true);
}

LogicalResult NodeImport::expectBroadcast(Value x, ArrayRef<OpFoldResult> sizes,
                                          StringRef name) {
  return expectSizes(*this, x, name.str(), sizes, "", /*mayRepeat=*/true);
}

LogicalResult NodeImport::expectNotEmpty(ArrayRef<OpFoldResult> sizes,
                                         StringRef what) {
  Value condition;
  for (OpFoldResult size : sizes) {
    if (std::optional<int64_t> known = getConstantIntValue(size)) {
      if (*known > 0)
        continue;
      error() << "expected " << what << " that is not empty, found "
              << printSizes(sizes);
      return failure();
    }
    condition = both(*this, condition,
                     compare(*this, arith::CmpIPredicate::sgt, size, index(0)));
  }
  if (condition)
    check(condition, "expected " + what + " that is not empty");
  return success();
}

LogicalResult NodeImport::expectEqual(OpFoldResult a, OpFoldResult c,
                                      const Twine &what) {
  if (areEqualSizes(a, c))
    return success();
  std::optional<int64_t> x = getConstantIntValue(a), y = getConstantIntValue(c);
  if (x && y) {
    error() << "expected " << what << ", found " << *x << " and " << *y;
    return failure();
  }
  check(compare(*this, arith::CmpIPredicate::eq, a, c), "expected " + what);
  return success();
}

void NodeImport::expectMemory(ArrayRef<OpFoldResult> sizes) {
  for (OpFoldResult size : sizes)
    if (!getConstantIntValue(size))
      check(
          compare(*this, arith::CmpIPredicate::slt, size, index(kLargestSize)),
          "out of memory", kMemoryStatus);
}
