// dlc.lookup: tables of 256 bytes.

#include "dialects/Dlc/Dlc.h"

using namespace mlir;
using namespace dlc;

LogicalResult LookupOp::verify() {
  if (getTable().size() != 256)
    return emitOpError("expected a table of 256 bytes, found ")
           << getTable().size();
  return success();
}

/// One table in place of two that are looked up one after the other.
LogicalResult LookupOp::canonicalize(LookupOp op, PatternRewriter &b) {
  auto first = op.getX().getDefiningOp<LookupOp>();
  if (!first)
    return failure();
  SmallVector<int8_t> table;
  for (int8_t code : first.getTable())
    table.push_back(op.getTable()[uint8_t(code)]);
  b.replaceOpWithNewOp<LookupOp>(op, first.getX(), table);
  return success();
}
