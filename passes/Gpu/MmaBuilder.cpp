// Operands of tensor cores in shared memory.
#include "passes/Gpu/MmaBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace dlc;

MmaBuilder::MmaBuilder(Kernel &kernel, Type type)
    : kernel(kernel), b(kernel.b), type(type),
      bytes(type.getIntOrFloatBitWidth() / 8), chunk(kChunkBytes / bytes),
      lane(kernel.rem(kernel.thread(), kWarp)) {}

Value MmaBuilder::call(StringRef name, Type result, ValueRange operands) {
  return kernel.call(name, result, operands);
}

/// The place of chunk `at` of a row of shared memory: rows that a warp reads
/// at once differ in the banks of a chunk.
Value MmaBuilder::swizzle(const MmaMemory &shared, Value row, Value at) {
  int64_t length = (shared.isDepthMajor ? shared.depth : shared.width) / chunk;
  Value key;
  if (!shared.isDepthMajor && bytes == 4)
    // Eight elements side by side of four rows, without ldmatrix.
    key = kernel.mul(kernel.rem(row, std::min<int64_t>(4, length / 2)),
                     kernel.index(2));
  else if (length >= 8)
    key = kernel.rem(row, 8);
  else
    key = kernel.rem(kernel.div(row, 8 / length), length);
  return b.createOrFold<arith::XOrIOp>(at, key);
}

Value MmaBuilder::placeOf(const MmaMemory &shared, Value outer, Value k) {
  Value row = shared.isDepthMajor ? outer : k;
  Value at = shared.isDepthMajor ? k : outer;
  int64_t length = shared.isDepthMajor ? shared.depth : shared.width;
  Value place =
      kernel.add(kernel.mul(swizzle(shared, row, kernel.div(at, chunk)),
                            kernel.index(chunk)),
                 kernel.rem(at, chunk));
  return kernel.add(kernel.mul(row, kernel.index(length)), place);
}

MmaSource MmaBuilder::makeSource(TileSource tile) {
  bool isDepthMajor = tile.isDepthFast || bytes == 1;
  MmaSource source{std::move(tile), {}, false, Value(), {}};
  source.shared = {source.width, source.depth, isDepthMajor, Value(), Value()};
  source.isAsync = source.type == type && source.vector == chunk &&
                   source.isDepthFast == isDepthMajor;
  source.pointer = memref::ReinterpretCastOp::create(
      b, MemRefType::get({1}, source.type), source.buffer, /*offset=*/0,
      ArrayRef<int64_t>{1}, ArrayRef<int64_t>{1});
  for (auto [outer, k] : llvm::zip(source.outer, source.k))
    source.places.push_back(placeOf(source.shared, outer, k));
  return source;
}

void MmaBuilder::allocate(MmaMemory &shared, int64_t stages) {
  shared.elements = kernel.shared({stages * shared.size()}, type);
  auto memory = cast<MemRefType>(shared.elements.getType());
  shared.first = memref::ReinterpretCastOp::create(
      b,
      MemRefType::get({1}, type, MemRefLayoutAttrInterface(),
                      memory.getMemorySpace()),
      shared.elements, /*offset=*/0, ArrayRef<int64_t>{1},
      ArrayRef<int64_t>{1});
}

SmallVector<Value> MmaBuilder::load(const MmaSource &source, Value firstK) {
  SmallVector<Value> values;
  // The last parts are loaded beyond the end, too.
  source.forEach(
      firstK, /*staysInside=*/true, [&](size_t, Value at, Value isInside) {
        Value value;
        Type kept = type;
        if (source.vector == 1) {
          value = memref::LoadOp::create(b, source.buffer, at);
        } else {
          value = vector::LoadOp::create(
              b, VectorType::get({source.vector}, source.type), source.buffer,
              ValueRange{at}, /*nontemporal=*/false,
              llvm::MaybeAlign(kChunkBytes));
          kept = VectorType::get({source.vector}, type);
        }
        if (kept != value.getType())
          value = arith::TruncFOp::create(b, kept, value);
        Value zero = arith::ConstantOp::create(b, b.getZeroAttr(kept));
        values.push_back(arith::SelectOp::create(b, isInside, value, zero));
      });
  return values;
}

void MmaBuilder::put(const MmaSource &source, ValueRange values, Value slot) {
  Value base = kernel.mul(slot, kernel.index(source.shared.size()));
  for (auto [i, value] : llvm::enumerate(values)) {
    Value at = kernel.add(base, source.places[i]);
    if (source.vector > 1 && source.isDepthFast != source.shared.isDepthMajor) {
      // Side by side in memory, and one below the other here.
      for (int64_t j = 0; j < source.vector; ++j)
        memref::StoreOp::create(
            b, vector::ExtractOp::create(b, value, j), source.shared.elements,
            ValueRange{kernel.add(
                base, placeOf(source.shared,
                              kernel.add(source.outer[i], kernel.index(j)),
                              source.k[i]))});
    } else if (source.vector == 1)
      memref::StoreOp::create(b, value, source.shared.elements, at);
    else
      vector::StoreOp::create(b, value, source.shared.elements, ValueRange{at},
                              /*nontemporal=*/false,
                              llvm::MaybeAlign(source.vector * bytes));
  }
}

void MmaBuilder::copy(const MmaSource &source, Value firstK, Value slot) {
  Value isBusy;
  if (source.isPartial)
    isBusy = kernel.isLess(kernel.thread(),
                           kernel.index(source.shared.size() / source.vector));
  kernel.when(isBusy, [&] {
    if (!source.isAsync)
      return put(source, load(source, firstK), slot);
    Value base = kernel.mul(slot, kernel.index(source.shared.size()));
    // Nothing is read behind the end, and zeros are written.
    source.forEach(
        firstK, /*staysInside=*/false, [&](size_t i, Value at, Value isInside) {
          Value size = arith::SelectOp::create(
              b, isInside, arith::ConstantIntOp::create(b, kChunkBytes, 32),
              arith::ConstantIntOp::create(b, 0, 32));
          call(("dlc_mma_copy" + Twine(bytes)).str(), {},
               {source.shared.first, kernel.add(base, source.places[i]),
                source.pointer, at, size});
        });
  });
}

Value MmaBuilder::fragment(const MmaMemory &shared, Value slot,
                           Value firstOuter, int64_t firstK, bool isB) {
  Value which = arith::ConstantIntOp::create(b, isB, 32);
  Type result = VectorType::get({8}, b.getI32Type());
  Value base = kernel.mul(slot, kernel.index(shared.size()));
  Value low = kernel.rem(lane, 16), high = kernel.div(lane, 16);
  if (shared.isDepthMajor) {
    Value place = placeOf(shared, kernel.add(firstOuter, low),
                          kernel.add(kernel.index(firstK),
                                     kernel.mul(high, kernel.index(chunk))));
    return call(getMmaLoad(type, /*isTransposed=*/false), result,
                {shared.first, kernel.add(base, place), which});
  }
  if (bytes == 2) {
    Value place = placeOf(
        shared, kernel.add(firstOuter, kernel.mul(high, kernel.index(chunk))),
        kernel.add(kernel.index(firstK), low));
    return call(getMmaLoad(type, /*isTransposed=*/true), result,
                {shared.first, kernel.add(base, place), which});
  }
  // Elements of 4 bytes cannot be transposed by ldmatrix.
  SmallVector<Value> places;
  for (int64_t i = 0; i < 4; ++i)
    places.push_back(kernel.add(
        base,
        placeOf(shared,
                kernel.add(firstOuter, kernel.add(kernel.div(lane, 4),
                                                  kernel.index(i % 2 * 8))),
                kernel.add(kernel.rem(lane, 4),
                           kernel.index(firstK + i / 2 * 4)))));
  SmallVector<Value> operands{shared.first};
  operands.append(places);
  return call(getMmaLoad(type, /*isTransposed=*/true), result, operands);
}
