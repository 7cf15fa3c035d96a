/// \file
/// Lays out a matrix in pairs, as dot products of bfloat16 read it.
#ifndef DLC_PASSES_CPU_PAIRPACKING_H
#define DLC_PASSES_CPU_PAIRPACKING_H

#include "passes/Cpu/ContractLoops.h"

namespace dlc {

/// A matrix of bfloat16 in a flat buffer: element (s, c), of sum s and column
/// c, lies at base + s * sumStride + c * columnStride.
struct PairSource {
  mlir::Value buffer, base, sumStride, columnStride;
};

/// Where pairs lie in a flat buffer:
///
///   [c floordiv panel][s floordiv 2][c mod panel][s mod 2]
///
/// with `panelStride` elements from a panel to the next.
struct PairTarget {
  mlir::Value buffer;
  int64_t panel, panelStride;
};

/// Lays out `sums` x `columns` elements. Zeros follow the last sum up to
/// `paddedSums`, an even number; what follows the last column in its panel may
/// be anything. A panel has whole vectors of `lanes` pairs, a power of two.
void emitPairs(mlir::ImplicitLocOpBuilder &b, const PairSource &source,
               mlir::Value sums, mlir::Value columns, mlir::Value paddedSums,
               const PairTarget &target, int64_t lanes);

} // namespace dlc

#endif
