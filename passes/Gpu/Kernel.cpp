// Index arithmetic and control flow of kernels.
#include "passes/Gpu/Kernel.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace dlc;

int64_t dlc::fixedProduct(ArrayRef<Extent> extents) {
  int64_t product = 1;
  for (const Extent &extent : extents) {
    if (extent.isDynamic() || llvm::MulOverflow(product, extent.fixed, product))
      return ShapedType::kDynamic;
  }
  return product;
}

Value Grid::emitBlocks(ImplicitLocOpBuilder &b, ValueRange operands) const {
  Value blocks;
  for (const Factor &factor : factors) {
    Value items;
    int64_t fixed = 1;
    for (const Extent &extent : factor.items) {
      if (!extent.isDynamic()) {
        fixed *= extent.fixed;
        continue;
      }
      Value size = b.createOrFold<memref::DimOp>(operands[extent.argument],
                                                 int64_t(extent.dim));
      if (extent.each > 1)
        size = b.createOrFold<arith::CeilDivUIOp>(
            size, arith::ConstantIndexOp::create(b, extent.each));
      items = items ? b.createOrFold<arith::MulIOp>(items, size) : size;
    }
    Value number;
    if (!items) {
      number = arith::ConstantIndexOp::create(
          b, llvm::divideCeil(fixed, factor.perBlock));
    } else {
      if (fixed != 1)
        items = b.createOrFold<arith::MulIOp>(
            items, arith::ConstantIndexOp::create(b, fixed));
      number = b.createOrFold<arith::CeilDivUIOp>(
          items, arith::ConstantIndexOp::create(b, factor.perBlock));
    }
    blocks = blocks ? b.createOrFold<arith::MulIOp>(blocks, number) : number;
  }
  return blocks ? blocks : arith::ConstantIndexOp::create(b, 1);
}

Extent Kernel::extentOf(Value buffer, unsigned dim) {
  Extent extent;
  extent.fixed = cast<MemRefType>(buffer.getType()).getDimSize(dim);
  extent.value = b.createOrFold<memref::DimOp>(buffer, int64_t(dim));
  extent.argument = arguments.lookup(buffer);
  extent.dim = dim;
  return extent;
}

Extent Kernel::fixedExtent(int64_t size) { return {index(size), size}; }

Value Kernel::thread() { return gpu::ThreadIdOp::create(b, gpu::Dimension::x); }

Value Kernel::block() { return gpu::BlockIdOp::create(b, gpu::Dimension::x); }

Value Kernel::globalThread() {
  return add(mul(block(), index(grid.threads)), thread());
}

Value Kernel::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

Value Kernel::add(Value x, Value y) {
  return b.createOrFold<arith::AddIOp>(x, y);
}

Value Kernel::mul(Value x, Value y) {
  return b.createOrFold<arith::MulIOp>(x, y);
}

Value Kernel::addNarrow(Value x, Value y) {
  auto narrow = [&](Value value) {
    return b.createOrFold<arith::IndexCastOp>(b.getI32Type(), value);
  };
  return b.createOrFold<arith::IndexCastUIOp>(
      b.getIndexType(), b.createOrFold<arith::AddIOp>(narrow(x), narrow(y)));
}

Value Kernel::isLess(Value x, Value y) {
  return b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::slt, x, y);
}

Value Kernel::max(Value x, Value y) {
  return b.createOrFold<arith::MaxSIOp>(x, y);
}

Value Kernel::min(Value x, Value y) {
  return b.createOrFold<arith::MinSIOp>(x, y);
}

Value Kernel::rem(Value x, int64_t divisor) {
  return b.createOrFold<arith::RemUIOp>(x, index(divisor));
}

Value Kernel::div(Value x, int64_t divisor) {
  return b.createOrFold<arith::DivUIOp>(x, index(divisor));
}

Value Kernel::ceilDiv(Value x, int64_t divisor) {
  if (divisor == 1)
    return x;
  return div(add(x, index(divisor - 1)), divisor);
}

Value Kernel::product(ArrayRef<Extent> extents) {
  Value product;
  for (const Extent &extent : extents)
    product = product ? mul(product, extent.value) : extent.value;
  return product ? product : index(1);
}

SmallVector<Value> Kernel::coordinates(Value position,
                                       ArrayRef<Extent> extents) {
  SmallVector<Value> result(extents.size());
  if (extents.empty())
    return result;
  if (extents.size() == 1) {
    result[0] = position;
    return result;
  }
  int64_t total = fixedProduct(extents);
  bool isNarrow = !ShapedType::isDynamic(total) &&
                  total <= std::numeric_limits<int32_t>::max();
  Type type = isNarrow ? Type(b.getI32Type()) : Type(b.getIndexType());
  auto toIndex = [&](Value value) {
    return isNarrow
               ? b.createOrFold<arith::IndexCastUIOp>(b.getIndexType(), value)
               : value;
  };
  Value rest =
      isNarrow ? b.createOrFold<arith::IndexCastOp>(type, position) : position;
  for (size_t i = extents.size() - 1; i > 0; --i) {
    Value extent =
        isNarrow ? Value(arith::ConstantIntOp::create(b, extents[i].fixed, 32))
                 : extents[i].value;
    // A division by 0 would only be executed where there is no thread.
    result[i] = extents[i].fixed == 1
                    ? index(0)
                    : toIndex(b.createOrFold<arith::RemUIOp>(rest, extent));
    if (extents[i].fixed != 1)
      rest = b.createOrFold<arith::DivUIOp>(rest, extent);
  }
  result[0] = toIndex(rest);
  return result;
}

SmallVector<Value> Kernel::apply(AffineMap map, ArrayRef<Value> dims) {
  SmallVector<Value> results;
  for (AffineExpr expr : map.getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      results.push_back(dims[dim.getPosition()]);
      continue;
    }
    OpFoldResult value = affine::makeComposedFoldedAffineApply(
        b, b.getLoc(), AffineMap::get(map.getNumDims(), 0, expr),
        getAsOpFoldResult(dims));
    results.push_back(getValueOrCreateConstantIndexOp(b, b.getLoc(), value));
  }
  return results;
}

void Kernel::when(Value condition, function_ref<void()> body) {
  if (!condition)
    return body();
  auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  body();
}

SmallVector<Value>
Kernel::loop(Value lower, Value upper, int64_t step, ValueRange carried,
             function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, lower, upper, index(step), carried);
  OpBuilder::InsertionGuard guard(b);
  if (carried.empty())
    b.setInsertionPoint(loop.getBody()->getTerminator());
  else
    b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> results =
      body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!carried.empty())
    scf::YieldOp::create(b, results);
  return llvm::to_vector_of<Value>(loop.getResults());
}

Value Kernel::shared(ArrayRef<int64_t> shape, Type type) {
  auto space = gpu::AddressSpaceAttr::get(
      b.getContext(), gpu::GPUDialect::getWorkgroupAddressSpace());
  unsigned number = func.getNumWorkgroupAttributions();
  Value memory = func.addWorkgroupAttribution(
      MemRefType::get(shape, type, MemRefLayoutAttrInterface(), space),
      b.getLoc());
  // For accesses of 16 bytes.
  func.setWorkgroupAttributionAttr(number, "llvm.align",
                                   b.getI64IntegerAttr(16));
  return memory;
}

void Kernel::barrier() { gpu::BarrierOp::create(b); }

Value Kernel::call(StringRef name, Type result, ValueRange operands) {
  auto device = func->getParentOfType<gpu::GPUModuleOp>();
  auto function = device.lookupSymbol<func::FuncOp>(name);
  if (!function) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(device.getBody());
    SmallVector<Type> results;
    if (result)
      results.push_back(result);
    function = func::FuncOp::create(
        b, name, b.getFunctionType(operands.getTypes(), results));
    function.setPrivate();
  }
  auto call = func::CallOp::create(b, function, operands);
  return result ? call.getResult(0) : Value();
}

Value Kernel::exchange(Value value, int64_t bits) {
  Type type = value.getType(), i32 = b.getI32Type();
  unsigned width = type.getIntOrFloatBitWidth();
  Type whole = b.getIntegerType(width);
  Value mask = arith::ConstantIntOp::create(b, bits, 32);
  auto swap = [&](Value word) {
    return call("dlc_warp_xor", i32, {word, mask});
  };
  Value word = isa<FloatType>(type)
                   ? Value(arith::BitcastOp::create(b, whole, value))
                   : value;
  if (width < 32) {
    word = arith::ExtUIOp::create(b, i32, word);
    word = arith::TruncIOp::create(b, whole, swap(word));
  } else if (width == 32) {
    word = swap(word);
  } else {
    assert(width == 64 && "expected a number of at most 64 bits");
    Value half = arith::ConstantIntOp::create(b, 32, 64);
    Value high = arith::ShRUIOp::create(b, word, half);
    Value low = swap(arith::TruncIOp::create(b, i32, word));
    high = swap(arith::TruncIOp::create(b, i32, high));
    word = arith::OrIOp::create(
        b, arith::ExtUIOp::create(b, whole, low),
        arith::ShLIOp::create(b, arith::ExtUIOp::create(b, whole, high), half));
  }
  return isa<FloatType>(type) ? Value(arith::BitcastOp::create(b, type, word))
                              : word;
}
