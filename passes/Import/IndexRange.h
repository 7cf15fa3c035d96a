/// \file
/// What an `index` value that is computed from sizes can be.
#ifndef DLC_PASSES_IMPORT_INDEXRANGE_H
#define DLC_PASSES_IMPORT_INDEXRANGE_H

#include "mlir/IR/OpDefinition.h"

namespace dlc {

/// Both ends are in the range.
struct IndexRange {
  int64_t low = INT64_MIN, high = INT64_MAX;

  bool isInside(int64_t from, int64_t to) const {
    return low >= from && high <= to;
  }
};

/// The range of a size, or of a value computed from sizes by the ops of arith;
/// everything where that is not known. A dimension is less than kLargestSize.
/// Without `wraps`, of values that have not overflown.
IndexRange getIndexRange(mlir::OpFoldResult value, bool wraps = true);

} // namespace dlc

#endif
