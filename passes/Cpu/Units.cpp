// How the work of a kernel is split into units that threads share.
#include "passes/Cpu/Units.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

/// The place of unit `number` in a grid of `counts`, the last one innermost.
static SmallVector<Value> getUnitIndex(ArrayRef<Value> counts, Value number,
                                       IndexMath &math) {
  SmallVector<Value> index(counts.size());
  Value rest = number;
  // The first dimension needs no remainder, nor do those of one unit.
  size_t outermost = 0;
  while (outermost + 1 < counts.size() && isStatic(counts[outermost], 1))
    index[outermost++] = math.constant(0);
  for (size_t i = counts.size(); i-- > outermost + 1;) {
    if (isStatic(counts[i], 1)) {
      index[i] = math.constant(0);
      continue;
    }
    index[i] = math.rem(rest, counts[i]);
    rest = math.div(rest, counts[i]);
  }
  if (!counts.empty())
    index[outermost] = isStatic(counts[outermost], 1) ? math.constant(0) : rest;
  return index;
}

bool dlc::emitUnits(ImplicitLocOpBuilder &b, ArrayRef<Value> counts,
                    double cycles, function_ref<void(const Unit &)> body,
                    int64_t group) {
  IndexMath math(b);
  Value total = math.constant(1);
  for (Value count : counts)
    total = math.mul(total, count);
  int64_t grain = llvm::alignTo(getGrain(cycles), group);
  // Of an unknown number of units the run decides.
  if (std::optional<int64_t> known = staticIndex(total);
      known && *known < 2 * grain)
    return false;
  auto parallel = ParallelOp::create(b, total, grain);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&parallel.getBody().front());
  auto loop = scf::ForOp::create(b, parallel.getFirst(), parallel.getEnd(),
                                 math.constant(1));
  b.setInsertionPointToStart(loop.getBody());
  Value number = loop.getInductionVar();
  body({getUnitIndex(counts, number, math), number, parallel.getSince(),
        parallel.getOwn()});
  return true;
}

int64_t dlc::getGrain(double unitCycles) {
  return std::max<int64_t>(1, std::ceil(kPartCycles / unitCycles));
}

int64_t dlc::shrinkBlock(int64_t extent, int64_t block, int64_t step,
                         double otherUnits, double cycles) {
  auto blocks = [&](int64_t size) { return llvm::divideCeil(extent, size); };
  block = std::min<int64_t>(block, llvm::alignTo(extent, step));
  while (block > step && otherUnits * blocks(block) < kWantedUnits) {
    int64_t half = llvm::alignTo(block / 2, step);
    if (half == block || half * cycles < kUnitCycles)
      break;
    block = half;
  }
  // Blocks of like size.
  return llvm::alignTo(llvm::divideCeil(extent, blocks(block)), step);
}
