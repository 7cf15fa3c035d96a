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
//
// With dot products of bytes and few rows, digits[row] are whole numbers that a
// row becomes first, three digits of 8 bits each:
//
//           for four bytes of a block
//             sums[digit] += dot(q, digits[row][digit])
//           y[row] += (digits' value - whole[row] * zero) * scale * scales[row]
//
// Of many rows the weights become real once for all of them (BlockPanel.h).

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/BlockDigits.h"
#include "passes/Cpu/BlockPanel.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/VectorBody.h"
#include "passes/Remarks.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_LOWERBLOCKPRODUCT
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;
using namespace dlc::block;

namespace {

/// Both kernels, and which of them runs.
struct BlockKernel : DigitEmitter {
  using DigitEmitter::DigitEmitter;

  /// One block for `count` rows from `row` and the vectors from `column`.
  void emitBlock(Value panel, Value block, Value row, int64_t count,
                 Value column) {
    // With few rows, sums of their own for each number of a byte, so that
    // additions do not wait for each other.
    int64_t apart = count == 1 ? std::min<int64_t>(numbers, 2) : 1;
    SmallVector<Value> rows, columns;
    for (int64_t r = 0; r < count; ++r)
      rows.push_back(math.add(row, r));
    for (int64_t v = 0; v < vectors; ++v)
      columns.push_back(math.add(column, v * lanes));
    SmallVector<Value> sums(count * vectors * apart, zeroVector());
    for (int64_t r = 0; r < count; ++r)
      sums.push_back(arith::ConstantOp::create(b, b.getF32FloatAttr(0)));
    auto loop = scf::ForOp::create(b, math.constant(0), math.constant(groups),
                                   math.constant(1), sums);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      SmallVector<Value> next(loop.getRegionIterArgs());
      Value group = loop.getInductionVar();
      SmallVector<Value> words;
      for (int64_t v = 0; v < vectors; ++v)
        words.push_back(readWords(panel, block, group, columns[v]));
      for (int64_t t = 0; t < kGroup; ++t)
        for (int64_t i = 0; i < numbers; ++i) {
          SmallVector<Value> factors;
          for (int64_t r = 0; r < count; ++r) {
            Value x = memref::LoadOp::create(b, a,
                                             ValueRange{rows[r], block, group,
                                                        math.constant(t),
                                                        math.constant(i)});
            factors.push_back(splat(x));
            Value &whole = next[count * vectors * apart + r];
            whole = arith::AddFOp::create(b, whole, x);
          }
          for (int64_t v = 0; v < vectors; ++v) {
            Value q = readNumber(words[v], t, i);
            for (int64_t r = 0; r < count; ++r) {
              Value &sum = next[(r * vectors + v) * apart + i % apart];
              sum = multiplyAdd(q, factors[r], sum);
            }
          }
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

  void emitPanel(Value panel, Value rows) {
    Value zero = math.constant(0), most = math.roundDown(rows, 4);
    auto emitRows = [&](Value row, int64_t count) {
      emitBlocks([&](Value block, Value column) {
        emitBlock(panel, block, row, count, column);
      });
    };
    emitLoop(zero, most, 4, [&](Value row) { emitRows(row, 4); });
    emitLoop(most, rows, 1, [&](Value row) { emitRows(row, 1); });
  }

  bool threads = false;
  /// What a row of a panel costs.
  double getCycles() {
    return double(blocks * groups * kGroup * width) / double(lanes) * 4;
  }

  void emitFew(Value rows) {
    emitPanels(threads, getCycles() * double(staticIndex(rows).value_or(1)),
               [&](Value panel) { emitPanel(panel, rows); });
  }

  /// Products of floats, by the number of rows.
  void emitFloats(Value rows) {
    PanelEmitter many(*this, rows);
    std::optional<int64_t> known = staticIndex(rows);
    auto emitMany = [&] {
      many.prepare();
      emitPanels(
          threads, getCycles() * double(known.value_or(kPanelRows)),
          [&](Value panel) { many.emitPanel(panel, rows); },
          [&] { many.allocate(); });
    };
    if (!many.canEmit() || (known && *known < kPanelRows))
      return emitFew(rows);
    if (known)
      return emitMany();
    emitChoice(
        isAtMost(rows, kPanelRows - 1), [&] { emitFew(rows); }, emitMany);
  }

  /// Products of digits, of `most` rows and so many blocks at a time as the
  /// buffer has room for; of floats where some of those have no digits.
  void emitDigitRows(Value rows, int64_t most) {
    int64_t part = countDigitBlocks(most);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(getEntry());
      auto local = [&](ArrayRef<int64_t> shape, Type element) {
        auto type = MemRefType::get(shape, element);
        return memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
      };
      digits = local({most, part, groups, kDigits * numbers * kGroup},
                     b.getI8Type());
      parameters = local({most, part, 2}, b.getF32Type());
    }
    // All operands' blocks are dimension 1, but y's.
    auto emitPart = [&](Value row, Value count, Value block, int64_t size) {
      llvm::SaveAndRestore<BlockOperands> whole(*this);
      blocks = size;
      Value all = math.constant(size);
      for (Value *operand : {&bytes, &scales, &zeros})
        if (*operand)
          *operand = slice(*operand, {{1, block, all}});
      a = slice(a, {{0, row, count}, {1, block, all}});
      y = slice(y, {{0, row, count}});
      emitDigitPart(count);
    };
    auto emitAll = [&](Value row, Value count) {
      Value rest = math.constant(blocks / part * part);
      emitEach(math.constant(0), rest, part,
               [&](Value block) { emitPart(row, count, block, part); });
      if (blocks % part)
        emitPart(row, count, rest, blocks % part);
    };
    if (!staticIndex(rows))
      return emitLoop(math.constant(0), rows, most, [&](Value row) {
        emitAll(row, math.min(math.constant(most), math.sub(rows, row)));
      });
    Value whole = math.roundDown(rows, most);
    emitEach(math.constant(0), whole, most,
             [&](Value row) { emitAll(row, math.constant(most)); });
    Value count = math.sub(rows, whole);
    if (!isStatic(count, 0))
      emitAll(whole, count);
  }

  void emitDigitPart(Value rows) {
    double expected = double(staticIndex(rows).value_or(1));
    emitChoice(
        emitDigits(rows),
        [&] {
          emitPanels(threads, getCycles() / 2 * expected,
                     [&](Value panel) { emitDigitPanel(panel, rows); });
        },
        [&] { emitFew(rows); });
  }

  void emit(bool withThreads, DotKind kind, int64_t dotBytes) {
    threads = withThreads, dot = kind;
    Value rows = b.createOrFold<memref::DimOp>(y, int64_t(0));
    if (int64_t most = countDigitRows(kind, dotBytes))
      emitDigitRows(rows, most);
    else
      emitFloats(rows);
  }

  Value isAtMost(Value rows, int64_t most) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::sle, rows,
                                 math.constant(most));
  }
  void emitChoice(Value condition, function_ref<void()> then,
                  function_ref<void()> otherwise) {
    auto choice = scf::IfOp::create(b, condition, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(choice.thenBlock());
    then();
    b.setInsertionPointToStart(choice.elseBlock());
    otherwise();
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
    SmallVector<Value> vectors{op.getDpsInputs()[0], op.getDpsInputs()[1],
                               op.getDpsInits()[0]};
    if (!op->hasAttr(kBlockZero))
      vectors.push_back(op.getDpsInputs()[2]);
    for (Value operand : vectors)
      if (!cast<MemRefType>(operand.getType()).isLastDimUnitStride())
        return false;
    auto bytes = cast<MemRefType>(op.getDpsInputs()[0].getType());
    auto a = cast<MemRefType>(op.getDpsInputs().back().getType());
    return bytes.hasStaticShape() && bytes.getRank() == 5 &&
           bytes.getElementType().isInteger(8) &&
           bytes.getDimSize(4) == kGroup && bytes.getDimSize(3) % lanes == 0 &&
           memref::CollapseShapeOp::isGuaranteedCollapsible(
               bytes,
               SmallVector<ReassociationIndices>{{0}, {1}, {2}, {3, 4}}) &&
           a.getRank() == 5 && 8 % a.getDimSize(4) == 0;
  }

  void runOnOperation() override {
    std::optional<DotKind> kind = parseDotKind(dot);
    if (!kind) {
      getOperation()->emitError("dlc-lower-block-product: expected dot=none, "
                                "vnni, madd, sdot or i8mm, found '")
          << dot << "'";
      return signalPassFailure();
    }
    int64_t lanes = std::max<int64_t>(vectorBytes / 4, 4);
    SmallVector<linalg::GenericOp> ops;
    getOperation()->walk([&](linalg::GenericOp op) {
      if (hasKernel(op, lanes))
        ops.push_back(op);
    });
    for (linalg::GenericOp op : ops) {
      BlockKernel(op, lanes, registers, fma).emit(threads, *kind, dotBytes);
      remarkDone(op.getLoc(), "dlc-lower-block-product")
          << remark::add("kernel: weights real in registers only");
      markVectorCode(op);
      op.erase();
    }
  }
};

} // namespace
