// Which steps on a row are done in one pass over it.
#include "passes/Cpu/RowSweep.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Cpu/RowSum.h"
#include "passes/Cpu/VectorBody.h"

using namespace mlir;
using namespace dlc;

int64_t RowStep::getLength() const {
  for (auto [map, buffer] : llvm::zip(maps, buffers))
    if (kinds.size() > 1 && map.isFunctionOfDim(1))
      return cast<MemRefType>(buffer.getType()).getShape().back();
  return 1;
}

bool RowSweep::fits(const RowStep &step, int64_t vectorBytes) {
  linalg::GenericOp op = step.op;
  if (step.kinds.size() != 2 || !hasVectorBody(*op.getBody()) ||
      (RowSum::isReduction(step) &&
       (op->getNumOperands() < 2 || op.getNumDpsInits() != 1 ||
        !RowSum::findAddition(step))))
    return false;
  bool hasVectors = false;
  for (auto [i, map, buffer] : llvm::enumerate(step.maps, step.buffers)) {
    auto type = dyn_cast<MemRefType>(buffer.getType());
    if (!type)
      continue;
    unsigned bits = type.getElementTypeBitWidth();
    if (!isa<FloatType, IntegerType>(type.getElementType()) ||
        !llvm::is_contained({8u, 16u, 32u, 64u}, bits))
      return false;
    ArrayRef<AffineExpr> results = map.getResults();
    if (map.isFunctionOfDim(1)) {
      if (results.back() != getAffineDimExpr(1, map.getContext()) ||
          map.dropResult(results.size() - 1).isFunctionOfDim(1) ||
          !type.isLastDimUnitStride() || vectorBytes * 8 < 2 * bits)
        return false;
      hasVectors = true;
      results = results.drop_back();
    } else if (step.isWritten(i) && !RowSum::isReduction(step)) {
      return false;
    }
    if (!llvm::all_of(results, [](AffineExpr expr) {
          return isa<AffineDimExpr, AffineConstantExpr>(expr);
        }))
      return false;
  }
  return hasVectors;
}

bool RowSweep::takes(const RowStep &step,
                     function_ref<bool(Value, Value)> share) const {
  if (steps.empty())
    return true;
  bool isOfSameLength = false;
  for (const RowStep &before : steps) {
    int64_t length = before.getLength();
    isOfSameLength |=
        !ShapedType::isDynamic(length) && length == step.getLength();
    for (unsigned i = 0; i < before.buffers.size(); ++i)
      for (unsigned k = 0; k < step.buffers.size(); ++k) {
        bool areVectors = before.isAlongRow(i) && step.isAlongRow(k);
        if (before.buffers[i] == step.buffers[k] && areVectors &&
            before.maps[i] == step.maps[k]) {
          isOfSameLength = true;
          continue;
        }
        if (!before.isWritten(i) && !step.isWritten(k))
          continue;
        // What one step does to an element the other one finds there, if they
        // are the same bytes.
        if (share(before.buffers[i], step.buffers[k]) &&
            !(areVectors && before.hasRows[i] && step.hasRows[k] &&
              cast<MemRefType>(before.buffers[i].getType())
                      .getElementTypeBitWidth() ==
                  cast<MemRefType>(step.buffers[k].getType())
                      .getElementTypeBitWidth()))
          return false;
      }
  }
  return isOfSameLength;
}

bool RowSweep::mayFollow(const RowStep &step,
                         function_ref<bool(Value, Value)> share) const {
  return llvm::none_of(steps, [&](const RowStep &before) {
    for (unsigned i = 0; i < before.buffers.size(); ++i)
      for (unsigned k = 0; k < step.buffers.size(); ++k)
        if ((before.isWritten(i) || step.isWritten(k)) &&
            share(before.buffers[i], step.buffers[k]))
          return true;
    return false;
  });
}
