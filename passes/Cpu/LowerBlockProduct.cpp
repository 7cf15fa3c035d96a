// A product with weights of 2, 4 or 8 bits in blocks -> scf, vector and arith.
//
//   for panels of columns                  // units, which threads share
//     for 4, then single rows
//       for vectors of columns, as many as sums fit the registers
//         for blocks
//           for bytes of a block           // the weights are read once, in
//             sums[row] += a[row] * q      // order, and real in registers only
//             whole[row] += a[row]
//           y[row] += (sums[row] - whole[row] * zero) * scale

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/BlockProduct.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/Units.h"
#include "passes/Cpu/VectorBody.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_LOWERBLOCKPRODUCT
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

namespace {

/// The operands of the op that com.microsoft's MatMulNBits becomes: bytes
/// [panel, block, byte, column], scales and zero points [panel, block, column]
/// (or one for all), a [row, block, byte] for each number of a byte, and
/// the sums [row, panel, column], which begin as they are.
struct BlockProductEmitter {
  ImplicitLocOpBuilder b;
  IndexMath math;
  bool fma;
  int64_t lanes, vectors;
  Value bytes, scales, y, zeros; // no zeros where `zero` is that of all
  IntegerAttr zero;
  SmallVector<Value> a;
  int64_t panels, blocks, height, width, bits;

  BlockProductEmitter(linalg::GenericOp op, int64_t lanes, int64_t registers,
                      bool fma)
      : b(op.getLoc(), op), math(b), fma(fma), lanes(lanes),
        bytes(op.getDpsInputs()[0]), scales(op.getDpsInputs()[1]),
        y(op.getDpsInits()[0]) {
    zero = op->getAttrOfType<IntegerAttr>(kBlockZero);
    SmallVector<Value> others(llvm::drop_begin(op.getDpsInputs(), 2));
    if (!zero) {
      zeros = others.front();
      others.erase(others.begin());
    }
    a = others;
    ArrayRef<int64_t> shape = cast<MemRefType>(bytes.getType()).getShape();
    panels = shape[0], blocks = shape[1], height = shape[2], width = shape[3];
    bits = 8 / int64_t(a.size());
    vectors = std::min<int64_t>(registers / 8, width / lanes);
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

  /// The numbers of the bytes of a vector, as floats.
  SmallVector<Value> readNumbers(Value panel, Value block, Value row,
                                 Value column) {
    auto i32 = VectorType::get(lanes, b.getI32Type());
    Value words = arith::ExtUIOp::create(
        b, i32, load(bytes, {panel, block, row, column}));
    SmallVector<Value> numbers;
    for (int64_t i = 0, count = a.size(); i < count; ++i) {
      Value q = words;
      if (i)
        q = arith::ShRUIOp::create(b, q, integers(i * bits));
      if (i + 1 < count)
        q = arith::AndIOp::create(b, q, integers((1 << bits) - 1));
      numbers.push_back(arith::SIToFPOp::create(b, floats(), q));
    }
    return numbers;
  }

  /// One block for `count` rows from `row` and the vectors from `column`.
  void emitBlock(Value panel, Value block, Value row, int64_t count,
                 Value column) {
    // With few rows, sums of their own for each number of a byte, so that
    // additions do not wait for each other.
    int64_t apart = count == 1 ? int64_t(a.size()) : 1;
    SmallVector<Value> rows, columns;
    for (int64_t r = 0; r < count; ++r)
      rows.push_back(math.add(row, r));
    for (int64_t v = 0; v < vectors; ++v)
      columns.push_back(math.add(column, v * lanes));
    SmallVector<Value> sums(count * vectors * apart, zeroVector());
    for (int64_t r = 0; r < count; ++r)
      sums.push_back(arith::ConstantOp::create(b, b.getF32FloatAttr(0)));
    auto loop = scf::ForOp::create(b, math.constant(0), math.constant(height),
                                   math.constant(1), sums);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      SmallVector<Value> next(loop.getRegionIterArgs());
      Value byte = loop.getInductionVar();
      SmallVector<SmallVector<Value>> factors(count);
      for (int64_t r = 0; r < count; ++r)
        for (Value part : a) {
          Value x =
              memref::LoadOp::create(b, part, ValueRange{rows[r], block, byte});
          factors[r].push_back(splat(x));
          Value &whole = next[count * vectors * apart + r];
          whole = arith::AddFOp::create(b, whole, x);
        }
      for (int64_t v = 0; v < vectors; ++v)
        for (auto [i, q] :
             llvm::enumerate(readNumbers(panel, block, byte, columns[v])))
          for (int64_t r = 0; r < count; ++r) {
            Value &sum = next[(r * vectors + v) * apart + i % apart];
            sum = multiplyAdd(q, factors[r][i], sum);
          }
      scf::YieldOp::create(b, next);
    }
    for (int64_t v = 0; v < vectors; ++v) {
      Value scale = load(scales, {panel, block, columns[v]});
      Value offset = zero ? splat(arith::ConstantOp::create(
                                b, b.getF32FloatAttr(zero.getInt())))
                          : load(zeros, {panel, block, columns[v]});
      for (int64_t r = 0; r < count; ++r) {
        Value sum = loop.getResult((r * vectors + v) * apart);
        for (int64_t i = 1; i < apart; ++i)
          sum = arith::AddFOp::create(
              b, sum, loop.getResult((r * vectors + v) * apart + i));
        Value whole = splat(loop.getResult(count * vectors * apart + r));
        sum = arith::SubFOp::create(b, sum,
                                    arith::MulFOp::create(b, whole, offset));
        SmallVector<Value> at{rows[r], panel, columns[v]};
        vector::StoreOp::create(b, multiplyAdd(sum, scale, load(y, at)), y, at);
      }
    }
  }

  void emitLoop(Value from, Value to, int64_t step,
                function_ref<void(Value)> body) {
    auto loop = scf::ForOp::create(b, from, to, math.constant(step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    body(loop.getInductionVar());
  }

  void emitPanel(Value panel, Value rows) {
    Value zero = math.constant(0), most = math.roundDown(rows, 4);
    auto emitRows = [&](Value row, int64_t count) {
      emitLoop(zero, math.constant(width), vectors * lanes, [&](Value column) {
        emitLoop(zero, math.constant(blocks), 1, [&](Value block) {
          emitBlock(panel, block, row, count, column);
        });
      });
    };
    emitLoop(zero, most, 4, [&](Value row) { emitRows(row, 4); });
    emitLoop(most, rows, 1, [&](Value row) { emitRows(row, 1); });
  }

  void emit(bool threads) {
    Value rows = b.createOrFold<memref::DimOp>(y, int64_t(0));
    double cycles = double(blocks * height * width) / lanes * 4 *
                    double(staticIndex(rows).value_or(1));
    if (threads &&
        emitUnits(b, {math.constant(panels)}, cycles,
                  [&](const Unit &unit) { emitPanel(unit.index[0], rows); }))
      return;
    emitLoop(math.constant(0), math.constant(panels), 1,
             [&](Value panel) { emitPanel(panel, rows); });
  }
};

struct LowerBlockProduct : dlc::impl::LowerBlockProductBase<LowerBlockProduct> {
  using LowerBlockProductBase::LowerBlockProductBase;

  /// Whether vectors can read every operand: dense ones, of panels of whole
  /// vectors.
  bool hasKernel(linalg::GenericOp op, int64_t lanes) {
    if (op.getLibraryCall().value_or("") != kBlockProduct ||
        !op.hasPureBufferSemantics() || op.getNumDpsInputs() < 3)
      return false;
    // The inputs of rows are read number by number.
    SmallVector<Value> vectors{op.getDpsInputs()[0], op.getDpsInputs()[1],
                               op.getDpsInits()[0]};
    if (!op->hasAttr(kBlockZero))
      vectors.push_back(op.getDpsInputs()[2]);
    for (Value operand : vectors)
      if (!cast<MemRefType>(operand.getType()).isLastDimUnitStride())
        return false;
    auto bytes = cast<MemRefType>(op.getDpsInputs()[0].getType());
    return bytes.hasStaticShape() && bytes.getRank() == 4 &&
           bytes.getElementType().isInteger(8) &&
           bytes.getDimSize(3) % lanes == 0;
  }

  void runOnOperation() override {
    int64_t lanes = std::max<int64_t>(vectorBytes / 4, 4);
    SmallVector<linalg::GenericOp> ops;
    getOperation()->walk([&](linalg::GenericOp op) {
      if (hasKernel(op, lanes))
        ops.push_back(op);
    });
    for (linalg::GenericOp op : ops) {
      BlockProductEmitter(op, lanes, registers, fma).emit(threads);
      remarkDone(op.getLoc(), "dlc-lower-block-product")
          << remark::add("kernel: weights real in registers only");
      markVectorCode(op);
      op.erase();
    }
  }
};

} // namespace
