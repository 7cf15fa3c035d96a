// Winograd's transforms as code on vectors.
#include "passes/Cpu/WinogradTransform.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace dlc;

Value WinogradTransform::splat(Type type, double factor) {
  for (auto [known, scalar] : factors)
    if (known == factor)
      return vector::BroadcastOp::create(b, type, scalar);
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(cast<VectorType>(type), float(factor)));
}

Value WinogradTransform::scale(Value vector, double factor) {
  if (factor == 1)
    return vector;
  if (factor == -1)
    return arith::NegFOp::create(b, vector);
  return arith::MulFOp::create(b, vector, splat(vector.getType(), factor));
}

Value WinogradTransform::addProduct(Value sum, Value vector, double factor) {
  Value factors = splat(vector.getType(), factor);
  if (fma)
    return math::FmaOp::create(b, vector, factors, sum);
  return arith::AddFOp::create(b, arith::MulFOp::create(b, vector, factors),
                               sum);
}

/// Rows (or columns) that agree but for signs, with entries of either kind
/// worth sharing: a pair of opposite points of evaluation.
static bool isPair(ArrayRef<double> p, ArrayRef<double> q) {
  int64_t same = 0, opposite = 0;
  for (auto [a, c] : llvm::zip_equal(p, q)) {
    if (std::abs(std::abs(a) - std::abs(c)) > 1e-12)
      return false;
    if (std::abs(a) < 1e-12)
      continue;
    (a * c > 0 ? same : opposite) += 1;
  }
  return same && opposite && same + opposite > 2;
}

static SmallVector<double> getColumn(const Matrix &matrix, size_t j) {
  SmallVector<double> column;
  for (const auto &row : matrix)
    column.push_back(row[j]);
  return column;
}

SmallVector<Value> WinogradTransform::multiply(const Matrix &matrix,
                                               ArrayRef<Value> vectors) {
  // Inputs that enter all rows as p + q or p - q are added up first.
  Matrix rest = matrix;
  SmallVector<Value> inputs(vectors);
  SmallVector<bool> paired(inputs.size());
  for (size_t p = 0; p < inputs.size(); ++p)
    for (size_t q = p + 1; q < inputs.size(); ++q) {
      if (paired[p] || paired[q] ||
          !isPair(getColumn(rest, p), getColumn(rest, q)))
        continue;
      paired[p] = paired[q] = true;
      Value sum = arith::AddFOp::create(b, inputs[p], inputs[q]);
      Value difference = arith::SubFOp::create(b, inputs[p], inputs[q]);
      inputs[p] = sum;
      inputs[q] = difference;
      for (auto &row : rest) {
        if (row[p] * row[q] > 0)
          row[q] = 0;
        else
          row[q] = std::exchange(row[p], 0);
      }
    }

  auto combine = [&](ArrayRef<double> row) {
    Value sum;
    // Entries of 1 first: they start the sum without a product.
    for (bool ones : {true, false})
      for (auto [factor, input] : llvm::zip_equal(row, inputs)) {
        bool isOne = std::abs(std::abs(factor) - 1) < 1e-12;
        if (std::abs(factor) < 1e-12 || isOne != ones)
          continue;
        if (!sum)
          sum = scale(input, isOne ? std::copysign(1, factor) : factor);
        else if (isOne && factor > 0)
          sum = arith::AddFOp::create(b, sum, input);
        else if (isOne)
          sum = arith::SubFOp::create(b, sum, input);
        else
          sum = addProduct(sum, input, factor);
      }
    return sum;
  };

  // Rows that are s + d and s - d share the two sums.
  SmallVector<Value> results(rest.size());
  for (size_t p = 0; p < rest.size(); ++p) {
    if (results[p])
      continue;
    for (size_t q = p + 1; q < rest.size() && !results[p]; ++q) {
      if (results[q] || !isPair(rest[p], rest[q]))
        continue;
      SmallVector<double> same(rest[p]), opposite(rest[p]);
      for (size_t i = 0; i < same.size(); ++i)
        (rest[p][i] * rest[q][i] > 0 ? opposite[i] : same[i]) = 0;
      Value s = combine(same), d = combine(opposite);
      results[p] = arith::AddFOp::create(b, s, d);
      results[q] = arith::SubFOp::create(b, s, d);
    }
    if (!results[p])
      results[p] = combine(rest[p]);
  }
  return results;
}

VectorGrid WinogradTransform::apply(const Matrix &left, const VectorGrid &grid,
                                    const Matrix &right) {
  VectorGrid half(left.size());
  for (size_t j = 0; j < grid.front().size(); ++j) {
    SmallVector<Value> column;
    for (const auto &row : grid)
      column.push_back(row[j]);
    for (auto [row, value] : llvm::zip_equal(half, multiply(left, column)))
      row.push_back(value);
  }
  VectorGrid result;
  for (const auto &row : half)
    result.push_back(multiply(right, row));
  return result;
}
