// The matrices of Winograd's minimal filtering.
#include "lib/Kernels/Winograd.h"
#include "llvm/Support/MathExtras.h"
#include <cassert>
#include <cmath>

using namespace dlc;

/// T - 1 points of evaluation; the last one is infinity. Pairs of opposite
/// points share half of the transforms' arithmetic. From T = 5 on they were
/// found by a search for the smallest `getWinogradError`, and rounded to
/// numbers of few bits where that costs nothing. The error in f32 against f64,
/// as a multiple of the direct form's (48 channels, root of the mean square):
/// 1.8 for F(3x3, 3x3), 2.0 for F(4x4, 3x3), 5.6 for F(5x5, 3x3), 8.4 for
/// F(6x6, 3x3).
static llvm::SmallVector<double> getPoints(int64_t tile) {
  switch (tile) {
  case 1:
    return {};
  case 2:
    return {0};
  case 3:
    return {0, 1};
  case 4:
    return {0, 1, -1};
  case 5:
    return {0, 0.75, -0.75, 2};
  case 6:
    return {0, 0.625, -0.625, 1.5, -1.5};
  case 7:
    return {0, 0.55, -0.55, 1.075, -1.075, 2.7};
  default:
    return {0, 0.5, -0.5, 1, -1, 2, -2};
  }
}

/// The coefficients of the product of (x - p), lowest power first.
static llvm::SmallVector<double> expand(llvm::ArrayRef<double> roots) {
  llvm::SmallVector<double> polynomial{1};
  for (double root : roots) {
    polynomial.push_back(0);
    for (size_t i = polynomial.size() - 1; i > 0; --i)
      polynomial[i] = polynomial[i - 1] - root * polynomial[i];
    polynomial[0] *= -root;
  }
  return polynomial;
}

WinogradForm dlc::getWinogradForm(int64_t outputs, int64_t window) {
  int64_t tile = outputs + window - 1;
  assert(outputs >= 1 && window >= 1 && tile <= kMaxWinogradTile);
  llvm::SmallVector<double> points = getPoints(tile);
  auto zeros = [](int64_t rows, int64_t columns) {
    return Matrix(rows, llvm::SmallVector<double>(columns, 0));
  };
  WinogradForm form{zeros(tile, tile), zeros(tile, window),
                    zeros(outputs, tile)};
  for (auto [j, point] : llvm::enumerate(points)) {
    llvm::SmallVector<double> others(points);
    others.erase(others.begin() + j);
    double scale = 1;
    for (double other : others)
      scale *= point - other;
    double power = 1;
    for (int64_t k = 0; k < std::max(outputs, window); ++k, power *= point) {
      if (k < window)
        form.weights[j][k] = power / scale;
      if (k < outputs)
        form.output[k][j] = power;
    }
    llvm::copy(expand(others), form.input[j].begin());
  }
  // The point at infinity.
  form.weights[tile - 1][window - 1] = 1;
  form.output[outputs - 1][tile - 1] = 1;
  llvm::copy(expand(points), form.input[tile - 1].begin());
  return form;
}

double dlc::getWinogradError(const WinogradForm &form) {
  auto sumOfSquares = [](llvm::ArrayRef<double> row) {
    double sum = 0;
    for (double entry : row)
      sum += entry * entry;
    return sum;
  };
  double sum = 0;
  for (int64_t j = 0; j < form.tile(); ++j) {
    double output = 0;
    for (const auto &row : form.output)
      output += row[j] * row[j];
    sum += output * sumOfSquares(form.input[j]) * sumOfSquares(form.weights[j]);
  }
  return std::sqrt(sum / (form.output.size() * form.weights[0].size()));
}

/// Rows of whole cache lines, planes of an odd number of them: neighbouring
/// planes then fall into different sets of the L1 cache.
static int64_t getPlane(int64_t rows, int64_t row) {
  constexpr int64_t line = 16;
  return (llvm::divideCeil(rows * row, line) | 1) * line;
}

WinogradScratch::WinogradScratch(int64_t products, int64_t tiles,
                                 int64_t channels, int64_t columns,
                                 int64_t slots) {
  inputRow = llvm::alignTo(channels, 16) + 16;
  inputPlane = getPlane(tiles, inputRow);
  productRow = llvm::alignTo(std::min(columns, kMaxColumns), 16);
  productPlane = getPlane(tiles, productRow);
  productOffset = products * inputPlane;
  slotOffset = productOffset + products * productPlane;
  size = slotOffset + slots * kSlot;
}
