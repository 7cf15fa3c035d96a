/// \file
/// What the kernels of a product with weights of few bits in blocks share:
/// how they read the weights, and their loops.
#ifndef DLC_PASSES_CPU_BLOCKPRODUCTEMIT_H
#define DLC_PASSES_CPU_BLOCKPRODUCTEMIT_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/BlockProduct.h"
#include "passes/Cpu/ContractDot.h"
#include "passes/Cpu/Units.h"

namespace dlc::block {

using namespace mlir;

constexpr int64_t kGroup = 4; // bytes of a column, side by side

/// The operands of the op that com.microsoft's MatMulNBits becomes: bytes
/// [panel, block, group, column, 4], scales and zero points [panel, block,
/// column] (or one for all), a [row, block, group, 4, number of a byte], and
/// the sums [row, panel, column], which begin as they are.
struct BlockOperands {
  Value bytes, scales, a, y, zeros; // no zeros where there is one of all
  int64_t blocks;
};

struct BlockProductEmitter : BlockOperands {
  ImplicitLocOpBuilder b;
  IndexMath math;
  bool fma;
  int64_t lanes, vectors;
  IntegerAttr zero; // of all
  int64_t panels, groups, width, numbers, bits;
  BlockProductEmitter(linalg::GenericOp op, int64_t lanes, int64_t registers,
                      bool fma)
      : b(op.getLoc(), op), math(b), fma(fma), lanes(lanes) {
    scales = op.getDpsInputs()[1];
    a = op.getDpsInputs().back();
    y = op.getDpsInits()[0];
    zero = op->getAttrOfType<IntegerAttr>(kBlockZero);
    if (!zero)
      zeros = op.getDpsInputs()[2];
    Value given = op.getDpsInputs()[0];
    ArrayRef<int64_t> shape = cast<MemRefType>(given.getType()).getShape();
    panels = shape[0], blocks = shape[1], groups = shape[2], width = shape[3];
    numbers = cast<MemRefType>(a.getType()).getShape().back();
    bits = 8 / numbers;
    vectors = std::min<int64_t>(registers / 8, width / lanes);
    // The bytes of a group of columns side by side.
    bytes = memref::CollapseShapeOp::create(
        b, given, SmallVector<ReassociationIndices>{{0}, {1}, {2}, {3, 4}});
  }

  /// Of the function that is emitted into.
  Block *getEntry() {
    Operation *parent = b.getInsertionBlock()->getParentOp();
    auto function = dyn_cast<func::FuncOp>(parent);
    if (!function)
      function = parent->getParentOfType<func::FuncOp>();
    return &function.front();
  }

  Type f32 = b.getF32Type();
  VectorType floats() { return VectorType::get(lanes, f32); }

  Value multiplyAdd(Value x, Value y, Value sum) {
    if (fma)
      return math::FmaOp::create(b, x, y, sum);
    return arith::AddFOp::create(b, arith::MulFOp::create(b, x, y), sum);
  }
  Value splat(Value x) {
    return vector::BroadcastOp::create(b, VectorType::get(lanes, x.getType()),
                                       x);
  }
  Value zeroVector() {
    return arith::ConstantOp::create(b, b.getZeroAttr(floats()));
  }
  Value load(Value buffer, ValueRange at) {
    Type element = cast<MemRefType>(buffer.getType()).getElementType();
    return vector::LoadOp::create(b, VectorType::get(lanes, element), buffer,
                                  at);
  }
  Value integers(int64_t value) {
    auto type = VectorType::get(lanes, b.getI32Type());
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(type, b.getI32IntegerAttr(value)));
  }

  /// Four bytes of each of a vector of columns.
  Value readWords(Value panel, Value block, Value group, Value column) {
    Value at = math.mul(column, kGroup);
    Value read = vector::LoadOp::create(
        b, VectorType::get(lanes * kGroup, b.getI8Type()), bytes,
        ValueRange{panel, block, group, at});
    return vector::BitCastOp::create(b, VectorType::get(lanes, b.getI32Type()),
                                     read);
  }

  /// Number `i` of byte `t` of each word, as floats.
  Value readNumber(Value words, int64_t t, int64_t i) {
    int64_t low = t * 8 + i * bits;
    if (low)
      words = arith::ShRUIOp::create(b, words, integers(low));
    if (low + bits < 32)
      words = arith::AndIOp::create(b, words, integers((1 << bits) - 1));
    return arith::SIToFPOp::create(b, floats(), words);
  }

  void emitLoop(Value from, Value to, int64_t step,
                function_ref<void(Value)> body) {
    auto loop = scf::ForOp::create(b, from, to, math.constant(step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    body(loop.getInductionVar());
  }

  /// As emitLoop, but what is done once or never is no loop.
  void emitEach(Value from, Value to, int64_t step,
                function_ref<void(Value)> body) {
    std::optional<int64_t> count = staticIndex(math.sub(to, from));
    if (!count || *count > step)
      return emitLoop(from, to, step, body);
    if (*count > 0)
      body(from);
  }

  struct Range {
    int64_t dim;
    Value first, count;
  };
  /// A part of `memref`.
  Value slice(Value memref, ArrayRef<Range> ranges) {
    auto type = cast<MemRefType>(memref.getType());
    SmallVector<OpFoldResult> first(type.getRank(), b.getIndexAttr(0));
    SmallVector<OpFoldResult> sizes =
        memref::getMixedSizes(b, b.getLoc(), memref);
    SmallVector<OpFoldResult> steps(type.getRank(), b.getIndexAttr(1));
    for (const Range &range : ranges) {
      first[range.dim] = getAsOpFoldResult(range.first);
      sizes[range.dim] = getAsOpFoldResult(range.count);
    }
    return memref::SubViewOp::create(b, memref, first, sizes, steps);
  }

  /// The blocks of all vectors of a panel's columns.
  void emitBlocks(function_ref<void(Value, Value)> body) {
    Value zero = math.constant(0);
    emitLoop(zero, math.constant(width), vectors * lanes, [&](Value column) {
      emitLoop(zero, math.constant(blocks), 1,
               [&](Value block) { body(block, column); });
    });
  }

  /// `begin` is emitted where each thread begins.
  void emitPanels(
      bool threads, double cycles, function_ref<void(Value)> body,
      function_ref<void()> begin = [] {}) {
    auto emitUnit = [&](const Unit &unit) {
      {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPoint(b.getInsertionBlock()->getParentOp());
        begin();
      }
      body(unit.index[0]);
    };
    if (threads && emitUnits(b, {math.constant(panels)}, cycles, emitUnit))
      return;
    begin();
    emitLoop(math.constant(0), math.constant(panels), 1, body);
  }
};

} // namespace dlc::block

#endif
