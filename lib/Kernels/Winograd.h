/// \file
/// Winograd's minimal filtering: F(m, r) computes m outputs of a correlation
/// with r taps from T = m + r - 1 inputs by T multiplications,
///
///   y = output * ((weights * g) .* (input * d)),
///
/// and in two dimensions F(m x m, r x r) by T * T of them (Winograd,
/// "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast
/// Algorithms for Convolutional Neural Networks", 2016).
#ifndef DLC_LIB_KERNELS_WINOGRAD_H
#define DLC_LIB_KERNELS_WINOGRAD_H

#include "llvm/ADT/SmallVector.h"
#include <cstdint>

namespace dlc {

/// A small dense matrix, row by row.
using Matrix = llvm::SmallVector<llvm::SmallVector<double>>;

/// The transforms of F(outputs, window) in one dimension.
struct WinogradForm {
  Matrix input;   ///< T x T
  Matrix weights; ///< T x window
  Matrix output;  ///< outputs x T

  int64_t tile() const { return input.size(); }
};

/// The largest T for which points of evaluation are known. Beyond it the
/// error of the transforms in f32 grows too large to be of use.
constexpr int64_t kMaxWinogradTile = 8;

/// F(outputs, window) with 1 <= outputs + window - 1 <= kMaxWinogradTile, made
/// by the construction of Toom and Cook from points chosen for a small error.
WinogradForm getWinogradForm(int64_t outputs, int64_t window);

/// How much larger than the outputs the products are that cancel to them: the
/// root of the mean square over independent inputs and weights, for one
/// dimension; in two dimensions the factors multiply. Rounding errors grow by
/// about as much; 1 is the direct form. 1.3 for F(2, 3), 2.2 for F(4, 3), 4.5
/// for F(6, 3), 5 for F(2, 7).
double getWinogradError(const WinogradForm &form);

/// How a kernel of F(m x m, r x r) lays out its scratch memory, in elements:
/// for each of `products` products of a tile the transformed inputs of
/// `tiles` tiles (a plane of rows of channels), then the same of the products
/// of a block of columns, then `slots` vectors. Without products there are
/// the slots only.
struct WinogradScratch {
  static constexpr int64_t kMaxColumns = 64;
  static constexpr int64_t kSlot = 16; ///< the longest vector

  WinogradScratch(int64_t products, int64_t tiles, int64_t channels,
                  int64_t columns, int64_t slots = 0);

  int64_t inputRow, inputPlane;     ///< distances of tiles, of planes
  int64_t productRow, productPlane; ///< the same of the products
  int64_t productOffset;            ///< of the first product
  int64_t slotOffset;               ///< of the first slot
  int64_t size;                     ///< of all
};

} // namespace dlc

#endif
