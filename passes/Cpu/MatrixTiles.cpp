// Instructions on the tile registers of x86's AMX. The registers are named, not
// left to LLVM: their shapes are set once for all tiles of a kernel.
#include "passes/Cpu/MatrixTiles.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace dlc;

Value dlc::getAddress(ImplicitLocOpBuilder &b, Value buffer, Value offset,
                      int64_t bytes) {
  IndexMath math(b);
  auto metadata = memref::ExtractStridedMetadataOp::create(b, buffer);
  Value start = memref::ExtractAlignedPointerAsIndexOp::create(
      b, metadata.getBaseBuffer());
  return math.add(start,
                  math.mul(math.add(metadata.getOffset(), offset), bytes));
}

void MatrixTiles::call(StringRef intrinsic, ValueRange arguments) {
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr(intrinsic), arguments);
}

Value MatrixTiles::number(int64_t tile) {
  return arith::ConstantOp::create(b, b.getI8IntegerAttr(tile));
}

Value MatrixTiles::pointer(Value address) {
  return LLVM::IntToPtrOp::create(
      b, LLVM::LLVMPointerType::get(b.getContext()),
      Value(arith::IndexCastOp::create(b, b.getI64Type(), address)));
}

/// Intel's layout: the palette, bytes of a row of each tile from byte 16 on, in
/// 16 bits, and their rows from byte 48 on.
void MatrixTiles::configure(Value memory, Value rows, int64_t groups) {
  constexpr int64_t kBytes = 64, kWidths = 16, kHeights = 48;
  SmallVector<int8_t> fixed(kBytes, 0);
  SmallVector<bool> varies(kBytes, false);
  fixed[0] = 1;
  auto set = [&](int64_t tile, int64_t width, std::optional<int64_t> height) {
    fixed[kWidths + 2 * tile] = width;
    fixed[kHeights + tile] = height.value_or(0);
    varies[kHeights + tile] = !height;
  };
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t c = 0; c < 2; ++c)
      set(getC(i, c), kRowBytes, std::nullopt);
    set(getA(i), groups * kGroupBytes, std::nullopt);
    set(getB(i), kRowBytes, groups);
  }
  auto type = VectorType::get({kBytes}, b.getI8Type());
  auto mask = VectorType::get({kBytes}, b.getI1Type());
  Value height = vector::BroadcastOp::create(
      b, type, arith::IndexCastOp::create(b, b.getI8Type(), rows));
  Value words = arith::SelectOp::create(
      b, arith::ConstantOp::create(b, DenseElementsAttr::get(mask, varies)),
      height,
      arith::ConstantOp::create(
          b, DenseElementsAttr::get(type, ArrayRef<int8_t>(fixed))));
  Value start = math.constant(0);
  vector::StoreOp::create(b, words, memory, ValueRange{start});
  call("llvm.x86.ldtilecfg", pointer(getAddress(b, memory, start, 1)));
}

void MatrixTiles::load(int64_t tile, Value address, Value stride,
                       bool streamed) {
  Value bytes = arith::IndexCastOp::create(b, b.getI64Type(), stride);
  call(streamed ? "llvm.x86.tileloaddt164" : "llvm.x86.tileloadd64",
       {number(tile), pointer(address), bytes});
}

void MatrixTiles::store(int64_t tile, Value address, Value stride) {
  Value bytes = arith::IndexCastOp::create(b, b.getI64Type(), stride);
  call("llvm.x86.tilestored64", {number(tile), pointer(address), bytes});
}

void MatrixTiles::clear(int64_t tile) {
  call("llvm.x86.tilezero", number(tile));
}

void MatrixTiles::multiply(int64_t r, int64_t c) {
  call(("llvm.x86." + product).str(),
       {number(getC(r, c)), number(getA(r)), number(getB(c))});
}
