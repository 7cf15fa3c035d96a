// The cost model of fusion: memory passes against arithmetic that is done
// again.

#include "passes/Tensor/FusionCost.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace dlc;

/// What a size counts as that only the run knows.
static constexpr int64_t kUnknownSize = 64;

/// Operations of a cycle that one of the body takes: what docs/Numbers.md has
/// of polynomials, measured.
static double weigh(Operation &op) {
  if (op.hasTrait<OpTrait::IsTerminator>() ||
      op.hasTrait<OpTrait::ConstantLike>() || isa<linalg::IndexOp>(op))
    return 0;
  return llvm::TypeSwitch<Operation *, double>(&op)
      .Case<math::ExpOp, math::Exp2Op, math::ExpM1Op>([](auto) { return 13; })
      .Case<math::LogOp, math::Log2Op, math::Log1pOp, math::Log10Op>(
          [](auto) { return 16; })
      .Case<math::TanhOp, math::ErfOp>([](auto) { return 20; })
      .Case<math::SinOp, math::CosOp>([](auto) { return 90; })
      .Case<math::PowFOp, math::Atan2Op, math::TanOp, math::AtanOp>(
          [](auto) { return 40; })
      .Case<arith::DivFOp, math::SqrtOp, math::RsqrtOp>([](auto) { return 8; })
      .Case<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp>(
          [](auto) { return 24; })
      .Case<tensor::ExtractOp>([](auto) { return 4; })
      .Default([](Operation *) { return 1; });
}

static double countElements(ArrayRef<int64_t> sizes) {
  double count = 1;
  for (int64_t size : sizes)
    count *= double(ShapedType::isDynamic(size) ? kUnknownSize : size);
  return count;
}

static double countBytes(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !type.getElementType().isIntOrFloat())
    return 0;
  return countElements(type.getShape()) *
         ((type.getElementTypeBitWidth() + 7) / 8);
}

/// Cycles to load or store what was, or is, in memory as a whole.
static double transfer(double bytes, const FusionMachine &machine) {
  return bytes /
         (bytes <= machine.cache ? machine.nearBytes : machine.memoryBytes);
}

/// Cycles of `work` for an operand in the loops of `user`. What inner loops do
/// not change stands in front of them, and is done for one element at a time.
static double computeAgain(double work, OpOperand *use,
                           const FusionMachine &machine) {
  auto user = cast<linalg::LinalgOp>(use->getOwner());
  AffineMap map = user.getMatchingIndexingMap(use);
  SmallVector<int64_t> loops = user.getStaticLoopRanges();
  size_t depth = loops.size();
  while (!machine.perElement && depth > 0 && !map.isFunctionOfDim(depth - 1))
    --depth;
  double times = countElements(ArrayRef(loops).take_front(depth));
  return work * times / (depth == loops.size() ? machine.lanes : 1);
}

FusionCost dlc::estimateFusion(linalg::GenericOp producer,
                               ArrayRef<OpOperand *> uses,
                               const FusionMachine &machine) {
  double work = 0, inputs = 0;
  for (Operation &op : *producer.getBody())
    work += weigh(op);
  for (Value input : producer.getDpsInputs())
    inputs += transfer(countBytes(input), machine);
  double result = transfer(countBytes(producer.getResult(0)), machine);
  double elements = countElements(producer.getStaticLoopRanges());
  FusionCost cost;
  cost.stored = machine.launch + inputs + work * elements / machine.lanes +
                result * double(1 + uses.size());
  for (OpOperand *use : uses)
    cost.computed += inputs + computeAgain(work, use, machine);
  return cost;
}
