// Sizes of dimensions, traced through the ops of the dlc dialect.

#include "dialects/Dlc/Dims.h"
#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace dlc;

static OpFoldResult foldToAttr(OpBuilder &builder, OpFoldResult size) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return builder.getIndexAttr(*constant);
  return size;
}

template <typename OpTy>
static OpFoldResult arithmetic(OpBuilder &builder, Location loc, OpFoldResult a,
                               OpFoldResult b) {
  Value lhs = getValueOrCreateConstantIndexOp(builder, loc, a);
  Value rhs = getValueOrCreateConstantIndexOp(builder, loc, b);
  return foldToAttr(builder, builder.createOrFold<OpTy>(loc, lhs, rhs));
}

OpFoldResult dlc::addSizes(OpBuilder &builder, Location loc, OpFoldResult a,
                           OpFoldResult b) {
  return arithmetic<arith::AddIOp>(builder, loc, a, b);
}

OpFoldResult dlc::mulSizes(OpBuilder &builder, Location loc, OpFoldResult a,
                           OpFoldResult b) {
  return arithmetic<arith::MulIOp>(builder, loc, a, b);
}

OpFoldResult dlc::windowedSize(OpBuilder &builder, Location loc,
                               OpFoldResult size, int64_t kernel,
                               int64_t stride, int64_t dilation,
                               int64_t padding) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return builder.getIndexAttr(
        getWindowedSize(*constant, kernel, stride, dilation, padding));
  // (size + padding - span + stride) / stride, and 0 where that is negative. A
  // window that leaves the size as it is shows that.
  int64_t more = padding - ((kernel - 1) * dilation + 1) + stride;
  OpFoldResult sum = addSizes(builder, loc, size, builder.getIndexAttr(more));
  if (more < 0)
    sum =
        arithmetic<arith::MaxSIOp>(builder, loc, sum, builder.getIndexAttr(0));
  return arithmetic<arith::DivUIOp>(builder, loc, sum,
                                    builder.getIndexAttr(stride));
}

bool dlc::areEqualSizes(OpFoldResult a, OpFoldResult b) {
  std::optional<int64_t> x = getConstantIntValue(a), y = getConstantIntValue(b);
  if (x || y)
    return x == y;
  if (a == b)
    return true;
  // Structurally equal computations, such as two reads of one dimension.
  Operation *lhs = cast<Value>(a).getDefiningOp();
  Operation *rhs = cast<Value>(b).getDefiningOp();
  if (!lhs || !rhs || !isPure(lhs) || lhs->getNumRegions())
    return false;
  auto sameOperand = [](Value x, Value y) {
    return success(isa<IndexType>(x.getType()) && isa<IndexType>(y.getType())
                       ? areEqualSizes(x, y)
                       : x == y);
  };
  return OperationEquivalence::isEquivalentTo(
      lhs, rhs, sameOperand, /*markEquivalent=*/nullptr,
      OperationEquivalence::IgnoreLocations);
}

bool dlc::isLeastOf(OpFoldResult size, OpFoldResult bound) {
  auto value = dyn_cast<Value>(size);
  auto least = value ? value.getDefiningOp<arith::MinSIOp>() : arith::MinSIOp();
  if (!least)
    return false;
  for (unsigned i : {0, 1})
    if (getConstantIntValue(least->getOperand(i)).value_or(0) > 0 &&
        areEqualSizes(least->getOperand(1 - i), bound))
      return true;
  return false;
}

SmallVector<Value> dlc::getDynamicSizes(ArrayRef<OpFoldResult> sizes) {
  SmallVector<Value> values;
  for (OpFoldResult size : sizes)
    if (auto value = dyn_cast<Value>(size))
      values.push_back(value);
  return values;
}

/// The first argument dimension with the same name as this one's.
static std::pair<Value, int64_t> canonicalArgument(BlockArgument argument,
                                                   int64_t dim) {
  // Null while a dialect conversion replaces the block.
  auto function = dyn_cast_if_present<FunctionOpInterface>(
      argument.getOwner()->getParentOp());
  if (!function || !argument.getOwner()->isEntryBlock())
    return {argument, dim};
  auto nameOf = [&](unsigned index, int64_t dim) -> StringRef {
    auto names = function.getArgAttrOfType<ArrayAttr>(index, "dlc.dim_names");
    if (!names || dim >= int64_t(names.size()))
      return "";
    auto name = dyn_cast<StringAttr>(names[dim]);
    return name ? name.getValue() : "";
  };
  StringRef name = nameOf(argument.getArgNumber(), dim);
  if (name.empty())
    return {argument, dim};
  for (BlockArgument other : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(other.getType());
    for (int64_t i = 0; type && i < type.getRank(); ++i)
      if (type.isDynamicDim(i) && nameOf(other.getArgNumber(), i) == name)
        return {other, i};
  }
  return {argument, dim};
}

/// The size operand of a sized op that stands for dynamic dimension `dim`.
static Value sizeOperand(RankedTensorType type, ValueRange sizes, int64_t dim) {
  return sizes[type.getDynamicDimIndex(dim)];
}

/// Size of dimension `dim` of the broadcast of `operands` to `rank`.
static OpFoldResult broadcastSize(OpBuilder &builder, Location loc,
                                  ValueRange operands, int64_t rank,
                                  int64_t dim) {
  OpFoldResult known = builder.getIndexAttr(1);
  for (Value operand : operands) {
    auto type = cast<RankedTensorType>(operand.getType());
    int64_t i = dim - (rank - type.getRank());
    if (i < 0)
      continue;
    OpFoldResult size = getDim(builder, loc, operand, i);
    if (isConstantIntValue(size, 1) || areEqualSizes(known, size) ||
        isLeastOf(size, known))
      continue;
    if (isConstantIntValue(known, 1) || getConstantIntValue(size) ||
        isLeastOf(known, size)) {
      known = size;
      continue;
    }
    if (getConstantIntValue(known))
      continue;
    Value one = arith::ConstantIndexOp::create(builder, loc, 1);
    Value a = cast<Value>(known), b = cast<Value>(size);
    Value isOne =
        arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, a, one);
    known = builder.createOrFold<arith::SelectOp>(loc, isOne, b, a);
  }
  return known;
}

static OpFoldResult traceDim(OpBuilder &builder, Location loc, Value tensor,
                             int64_t dim);

OpFoldResult dlc::getDim(OpBuilder &builder, Location loc, Value tensor,
                         int64_t dim) {
  // Values that several paths reach are traced once for each outermost call.
  using Traced = llvm::DenseMap<std::pair<Value, int64_t>, OpFoldResult>;
  static thread_local Traced *traced = nullptr;
  if (!traced) {
    Traced own;
    traced = &own;
    OpFoldResult size = traceDim(builder, loc, tensor, dim);
    traced = nullptr;
    return size;
  }
  auto it = traced->find({tensor, dim});
  if (it != traced->end())
    return it->second;
  OpFoldResult size = traceDim(builder, loc, tensor, dim);
  traced->insert({{tensor, dim}, size});
  return size;
}

static OpFoldResult traceDim(OpBuilder &builder, Location loc, Value tensor,
                             int64_t dim) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return builder.getIndexAttr(type.getDimSize(dim));
  auto same = [&](Value operand) { return getDim(builder, loc, operand, dim); };
  auto fallback = [&]() -> OpFoldResult {
    return builder.createOrFold<tensor::DimOp>(loc, tensor, dim);
  };
  if (auto argument = dyn_cast<BlockArgument>(tensor)) {
    auto [root, rootDim] = canonicalArgument(argument, dim);
    return builder.createOrFold<tensor::DimOp>(loc, root, rootDim);
  }
  Operation *producer = tensor.getDefiningOp();
  if (isa<ElementwiseOp>(producer)) {
    return broadcastSize(builder, loc, producer->getOperands(), type.getRank(),
                         dim);
  }
  return TypeSwitch<Operation *, OpFoldResult>(producer)
      .Case<CastOp, SoftmaxOp>([&](auto op) { return same(op.getX()); })
      .Case([&](UnrealizedConversionCastOp op) {
        return op.getNumOperands() == 1 ? same(op.getOperand(0)) : fallback();
      })
      .Case<ReduceOp, ArgReduceOp>([&](auto op) { return same(op.getX()); })
      .Case<ReshapeOp, BroadcastOp>([&](auto op) -> OpFoldResult {
        return sizeOperand(type, op.getDynamicSizes(), dim);
      })
      .Case([&](TransposeOp op) {
        return getDim(builder, loc, op.getX(), op.getPermutation()[dim]);
      })
      .Case([&](ConcatOp op) {
        if (dim != int64_t(op.getAxis())) {
          for (Value input : op.getInputs())
            if (!cast<RankedTensorType>(input.getType()).isDynamicDim(dim))
              return same(input);
          return same(op.getInputs().front());
        }
        OpFoldResult sum = builder.getIndexAttr(0);
        for (Value input : op.getInputs())
          sum = addSizes(builder, loc, sum, same(input));
        return sum;
      })
      .Case([&](SliceOp op) { return op.getMixedSizes()[dim]; })
      .Case([&](tensor::EmptyOp op) { return op.getMixedSizes()[dim]; })
      .Case([&](DestinationStyleOpInterface op) {
        return same(op.getTiedOpOperand(cast<OpResult>(tensor))->get());
      })
      .Case([&](PadOp op) {
        OpFoldResult size =
            addSizes(builder, loc, same(op.getX()), op.getMixedLow()[dim]);
        return addSizes(builder, loc, size, op.getMixedHigh()[dim]);
      })
      .Case([&](GatherOp op) {
        int64_t axis = op.getAxis();
        int64_t rank =
            cast<RankedTensorType>(op.getIndices().getType()).getRank();
        if (dim < axis)
          return getDim(builder, loc, op.getX(), dim);
        if (dim < axis + rank)
          return getDim(builder, loc, op.getIndices(), dim - axis);
        return getDim(builder, loc, op.getX(), dim - rank + 1);
      })
      .Case([&](MatMulOp op) {
        auto rankOf = [](Value value) {
          return cast<RankedTensorType>(value.getType()).getRank();
        };
        int64_t rank = type.getRank();
        if (dim == rank - 1)
          return getDim(builder, loc, op.getRhs(), rankOf(op.getRhs()) - 1);
        if (dim == rank - 2)
          return getDim(builder, loc, op.getLhs(), rankOf(op.getLhs()) - 2);
        // A batch dimension, aligned at the right.
        OpFoldResult size = builder.getIndexAttr(1);
        for (Value operand : {op.getLhs(), op.getRhs()}) {
          int64_t at = dim - (rank - rankOf(operand));
          if (at < 0)
            continue;
          OpFoldResult next = getDim(builder, loc, operand, at);
          if (!isConstantIntValue(next, 1))
            size = isConstantIntValue(size, 1) ? next : size;
        }
        return size;
      })
      .Case([&](ConvOp op) {
        int64_t spatial = type.getRank() - 2;
        if (dim == 0)
          return same(op.getX());
        if (dim == spatial + 1)
          return getDim(builder, loc, op.getWeights(), dim);
        int64_t i = dim - 1;
        auto weights = cast<RankedTensorType>(op.getWeights().getType());
        if (weights.isDynamicDim(i))
          return fallback();
        return windowedSize(builder, loc, same(op.getX()),
                            weights.getDimSize(i), op.getStrides()[i],
                            op.getDilations()[i],
                            op.getPads()[i] + op.getPads()[spatial + i]);
      })
      .Case([&](PoolOp op) {
        int64_t spatial = type.getRank() - 2;
        if (dim == 0 || dim == spatial + 1)
          return same(op.getX());
        int64_t i = dim - 1;
        return windowedSize(builder, loc, same(op.getX()), op.getKernel()[i],
                            op.getStrides()[i], op.getDilations()[i],
                            op.getPads()[i] + op.getPads()[spatial + i]);
      })
      .Default([&](Operation *) { return fallback(); });
}

SmallVector<OpFoldResult> dlc::getDims(OpBuilder &builder, Location loc,
                                       Value tensor) {
  SmallVector<OpFoldResult> sizes;
  for (int64_t i = 0, e = cast<RankedTensorType>(tensor.getType()).getRank();
       i < e; ++i)
    sizes.push_back(getDim(builder, loc, tensor, i));
  return sizes;
}

SmallVector<OpFoldResult> dlc::broadcastSizes(OpBuilder &builder, Location loc,
                                              ValueRange operands) {
  int64_t rank = 0;
  for (Value operand : operands)
    rank = std::max(rank, cast<RankedTensorType>(operand.getType()).getRank());
  SmallVector<OpFoldResult> result;
  for (int64_t dim = 0; dim < rank; ++dim)
    result.push_back(broadcastSize(builder, loc, operands, rank, dim));
  return result;
}
