// Scales and zero points as numbers.

#include "passes/Graph/QuantizationConstants.h"
#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "mlir/IR/Matchers.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

/// Elements as doubles: of constants, and of what the folding of quantization
/// computes from them (products, quotients and other shapes of f32).
static std::optional<SmallVector<double>> evaluate(Value value,
                                                   unsigned depth = 8) {
  if (depth == 0)
    return std::nullopt;
  ElementsAttr constant;
  if (matchPattern(value, m_Constant(&constant))) {
    Type type = constant.getElementType();
    std::vector<char> storage;
    ArrayRef<char> bytes = getElementData(constant, storage);
    size_t count = constant.getNumElements(), width = getElementBytes(type);
    if (!type.isIntOrFloat() || bytes.size() != count * width)
      return std::nullopt;
    SmallVector<double> numbers;
    for (size_t i = 0; i < count; ++i) {
      const char *at = bytes.data() + i * width;
      if (type.isF32()) {
        float number;
        std::memcpy(&number, at, 4);
        numbers.push_back(number);
        continue;
      }
      auto integer = dyn_cast<IntegerType>(type);
      if (!integer || width > 4)
        return std::nullopt;
      uint32_t bits = 0;
      std::memcpy(&bits, at, width);
      unsigned unused = 32 - 8 * width;
      numbers.push_back(integer.isUnsigned()
                            ? double(bits)
                            : double(int32_t(bits << unused) >> unused));
    }
    return numbers;
  }
  Operation *op = value.getDefiningOp();
  if (!op || !getElementTypeOrSelf(value).isF32())
    return std::nullopt;
  // A transpose of what has one dimension alone keeps the order.
  auto isLine = [](Type type) {
    return llvm::count_if(cast<RankedTensorType>(type).getShape(),
                          [](int64_t n) { return n != 1; }) <= 1;
  };
  if (isa<ReshapeOp>(op) || (isa<TransposeOp>(op) && isLine(value.getType())))
    return evaluate(op->getOperand(0), depth - 1);
  if (!isa<MulOp, DivOp>(op))
    return std::nullopt;
  auto x = evaluate(op->getOperand(0), depth - 1);
  auto y = evaluate(op->getOperand(1), depth - 1);
  if (!x || !y || x->empty() || y->empty() ||
      (x->size() != y->size() && x->size() != 1 && y->size() != 1))
    return std::nullopt;
  SmallVector<double> result;
  for (size_t i = 0, e = std::max(x->size(), y->size()); i < e; ++i) {
    float a = (*x)[x->size() == 1 ? 0 : i], b = (*y)[y->size() == 1 ? 0 : i];
    result.push_back(isa<MulOp>(op) ? a * b : a / b);
  }
  return result;
}

bool dlc::isKnownZero(Value value) {
  auto numbers = evaluate(value);
  return numbers && llvm::all_of(*numbers, [](double x) { return x == 0; });
}

bool dlc::isKnownPositive(Value value) {
  auto numbers = evaluate(value);
  return numbers && llvm::all_of(*numbers, [](double x) { return x > 0; });
}

bool dlc::areEqualConstants(Value a, Value b) {
  if (a == b)
    return true;
  if (getElementTypeOrSelf(a) != getElementTypeOrSelf(b))
    return false;
  auto x = evaluate(a), y = evaluate(b);
  return x && y && *x == *y;
}

bool dlc::areNearlyEqual(Value a, Value b) {
  if (a == b)
    return true;
  auto x = evaluate(a), y = evaluate(b);
  if (!x || !y || x->empty() || y->empty() ||
      (x->size() != y->size() && x->size() != 1 && y->size() != 1))
    return false;
  for (size_t i = 0, e = std::max(x->size(), y->size()); i < e; ++i) {
    double p = (*x)[x->size() == 1 ? 0 : i], q = (*y)[y->size() == 1 ? 0 : i];
    if (!(std::abs(p - q) <= 1e-6 * std::abs(p)))
      return false;
  }
  return true;
}

std::pair<int64_t, int64_t> dlc::getIntegerRange(IntegerType type) {
  int64_t count = int64_t(1) << type.getWidth();
  int64_t low = type.isUnsigned() ? 0 : -count / 2;
  return {low, low + count - 1};
}

std::optional<int64_t> dlc::quantizeConstant(Value x, Value scale, Value zero) {
  auto numbers = evaluate(x), scales = evaluate(scale), zeros = evaluate(zero);
  auto type = dyn_cast<IntegerType>(getElementTypeOrSelf(zero));
  if (!numbers || !scales || !zeros || numbers->size() != 1 ||
      scales->size() != 1 || zeros->size() != 1 || !type ||
      type.getWidth() > 16 || std::isnan((*numbers)[0]))
    return std::nullopt;
  auto [low, high] = getIntegerRange(type);
  float quotient = float((*numbers)[0]) / float((*scales)[0]);
  double rounded = std::nearbyint(quotient) + (*zeros)[0];
  return int64_t(std::clamp(rounded, double(low), double(high)));
}
