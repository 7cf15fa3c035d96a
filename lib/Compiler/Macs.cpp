// Counts the multiply-accumulates of ONNX nodes.

#include "lib/Compiler/ModelInfo.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace dlc;

static constexpr int64_t kUnknown = -1;

/// A product that stays unknown once a factor is, or when it overflows.
static int64_t times(int64_t x, int64_t y) {
  int64_t product;
  if (x < 0 || y < 0 || llvm::MulOverflow(x, y, product))
    return kUnknown;
  return product;
}

static RankedTensorType typeOf(Value value) {
  return value ? dyn_cast<RankedTensorType>(value.getType())
               : RankedTensorType();
}

/// The size of a dimension; negative positions count from the end.
static int64_t sizeOf(RankedTensorType type, int64_t position) {
  if (!type)
    return kUnknown;
  if (position < 0)
    position += type.getRank();
  if (position < 0 || position >= type.getRank() || type.isDynamicDim(position))
    return kUnknown;
  return type.getDimSize(position);
}

/// The product of all sizes but the first `skip` ones.
static int64_t elements(RankedTensorType type, int64_t skip = 0) {
  if (!type)
    return kUnknown;
  int64_t product = 1;
  for (int64_t i = skip; i < type.getRank(); ++i)
    product = times(product, sizeOf(type, i));
  return product;
}

static int64_t countConv(onnx::NodeOp node, unsigned weights) {
  // Each output element sums one filter: input channels of the group x window.
  return times(elements(typeOf(node.getOutput(0))),
               elements(typeOf(node.getInput(weights)), 1));
}

static int64_t countConvTranspose(onnx::NodeOp node) {
  // Each input element spreads over one filter.
  return times(elements(typeOf(node.getInput(0))),
               elements(typeOf(node.getInput(1)), 1));
}

static int64_t countMatMul(onnx::NodeOp node) {
  return times(elements(typeOf(node.getOutput(0))),
               sizeOf(typeOf(node.getInput(0)), -1));
}

static int64_t countGemm(onnx::NodeOp node) {
  int64_t position = node.getInt("transA", 0) ? 0 : 1;
  return times(elements(typeOf(node.getOutput(0))),
               sizeOf(typeOf(node.getInput(0)), position));
}

/// LSTM, GRU and RNN: every step multiplies with both matrices.
static int64_t countRecurrent(onnx::NodeOp node) {
  RankedTensorType x = typeOf(node.getInput(0)), w = typeOf(node.getInput(1)),
                   r = typeOf(node.getInput(2));
  int64_t steps = times(sizeOf(x, 0), sizeOf(x, 1));
  int64_t fromInput = elements(w), fromState = elements(r);
  if (fromInput < 0 || fromState < 0)
    return kUnknown;
  return times(steps, fromInput + fromState);
}

/// Queries with keys, then their weights with values. Of rank 4, or of rank 3
/// with the heads side by side.
static int64_t countAttention(onnx::NodeOp node) {
  RankedTensorType q = typeOf(node.getInput(0)), k = typeOf(node.getInput(1)),
                   y = typeOf(node.getOutput(0));
  if (!q || !k)
    return kUnknown;
  int64_t scores = times(elements(q), sizeOf(k, -2));
  int64_t values = times(elements(y), sizeOf(k, -2));
  return scores < 0 || values < 0 ? kUnknown : scores + values;
}

/// All indices of the equation together, without ellipses.
static int64_t countEinsum(onnx::NodeOp node) {
  std::string equation = node.getString("equation", "").str();
  llvm::erase(equation, ' ');
  SmallVector<StringRef> terms;
  StringRef(equation).split("->").first.split(terms, ',');
  if (terms.size() != node.getOperands().size() || terms.size() < 2)
    return kUnknown;
  llvm::StringSet<> seen;
  int64_t product = 1;
  for (auto [i, term] : llvm::enumerate(terms)) {
    RankedTensorType type = typeOf(node.getInput(i));
    if (!type || int64_t(term.size()) != type.getRank())
      return kUnknown;
    for (size_t d = 0; d < term.size(); ++d)
      if (seen.insert(term.substr(d, 1)).second)
        product = times(product, sizeOf(type, d));
  }
  return product;
}

std::optional<int64_t> dlc::countMacs(onnx::NodeOp node) {
  StringRef op = node.getOpType(), domain = node.getDomain();
  if (domain == "com.microsoft") {
    if (op == "MatMulNBits" || op == "MatMulIntegerToFloat" ||
        op == "DynamicQuantizeMatMul")
      return countMatMul(node);
    if (op == "FusedConv" || op == "NhwcFusedConv")
      return countConv(node, 1);
    if (op == "FusedMatMul")
      return times(
          elements(typeOf(node.getOutput(0))),
          sizeOf(typeOf(node.getInput(0)), node.getInt("transA", 0) ? -2 : -1));
    if (op == "FusedGemm")
      return countGemm(node);
    return std::nullopt;
  }
  if (!domain.empty() && domain != "ai.onnx")
    return std::nullopt;
  using Counter = int64_t (*)(onnx::NodeOp);
  auto counter =
      llvm::StringSwitch<Counter>(op)
          .Cases({"Conv", "ConvInteger"},
                 [](onnx::NodeOp n) { return countConv(n, 1); })
          .Case("QLinearConv", [](onnx::NodeOp n) { return countConv(n, 3); })
          .Case("DeformConv", [](onnx::NodeOp n) { return countConv(n, 1); })
          .Case("ConvTranspose", countConvTranspose)
          .Cases({"MatMul", "MatMulInteger", "QLinearMatMul"}, countMatMul)
          .Case("Gemm", countGemm)
          .Cases({"LSTM", "GRU", "RNN"}, countRecurrent)
          .Case("Attention", countAttention)
          .Case("Einsum", countEinsum)
          .Default(nullptr);
  if (!counter)
    return std::nullopt;
  return counter(node);
}
