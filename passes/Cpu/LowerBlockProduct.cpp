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

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/BlockProduct.h"
#include "passes/Cpu/ContractDot.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/Units.h"
#include "passes/Cpu/VectorBody.h"
#include "passes/Remarks.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_LOWERBLOCKPRODUCT
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

static constexpr int64_t kGroup = 4; // bytes of a column, side by side
static constexpr int64_t kDigits = 3;
/// The largest whole number: its first digit is 127.
static constexpr double kLargest = 127.0 * 65536;
/// A block of smaller numbers has no digits, unless all are 0.
static constexpr double kLeast = 1e-30;
/// Of so many numbers sums are exact in i32, and those of a digit in f32.
static constexpr int64_t kMostInBlock = 256;
/// More rows are better multiplied together, in f32.
static constexpr int64_t kMostRows = 8;
static constexpr int64_t kStackBytes = 64 * 1024;

namespace {

/// The operands of the op that com.microsoft's MatMulNBits becomes: bytes
/// [panel, block, group, column, 4], scales and zero points [panel, block,
/// column] (or one for all), a [row, block, group, 4, number of a byte], and
/// the sums [row, panel, column], which begin as they are.
struct BlockProductEmitter {
  ImplicitLocOpBuilder b;
  IndexMath math;
  bool fma;
  int64_t lanes, vectors;
  Value bytes, scales, a, y, zeros; // no zeros where `zero` is that of all
  IntegerAttr zero;
  int64_t panels, blocks, groups, width, numbers, bits;
  DotKind dot = DotKind::None;
  /// [row, block, group, digits of a group] and [row, block, scale and sum].
  Value digits, parameters;

  BlockProductEmitter(linalg::GenericOp op, int64_t lanes, int64_t registers,
                      bool fma)
      : b(op.getLoc(), op), math(b), fma(fma), lanes(lanes),
        scales(op.getDpsInputs()[1]), a(op.getDpsInputs().back()),
        y(op.getDpsInits()[0]) {
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

  //===--------------------------------------------------------------------===//
  // Digits
  //===--------------------------------------------------------------------===//

  /// For how many rows there may be digits; 0 if the machine has no products
  /// of them, or they would be too many for the stack.
  int64_t countDigitRows(DotKind kind, int64_t dotBytes) {
    bool isSigned = kind == DotKind::SDot; // weights below 128
    if ((kind != DotKind::Vnni && kind != DotKind::I8mm && !isSigned) ||
        (isSigned && bits == 8) || dotBytes != lanes * 4 ||
        groups * kGroup * numbers > kMostInBlock ||
        !memref::CollapseShapeOp::isGuaranteedCollapsible(
            cast<MemRefType>(a.getType()),
            SmallVector<ReassociationIndices>{{0}, {1}, {2}, {3, 4}}))
      return 0;
    int64_t rows = cast<MemRefType>(y.getType()).getDimSize(0);
    int64_t row = blocks * (groups * kGroup * numbers * kDigits + 8);
    int64_t most = std::min(kMostRows, kStackBytes / row);
    if (!ShapedType::isDynamic(rows))
      return rows <= most ? rows : 0;
    return most;
  }

  VectorType group(Type element) {
    return VectorType::get(kGroup * numbers, element);
  }
  template <typename OpTy> Value shift(Value x, int64_t count) {
    Value by = arith::ConstantOp::create(
        b, DenseElementsAttr::get(cast<VectorType>(x.getType()),
                                  b.getI32IntegerAttr(count)));
    return OpTy::create(b, x, by);
  }
  Value constantFloat(double value) {
    return arith::ConstantOp::create(b, b.getF32FloatAttr(float(value)));
  }

  /// Loops from 0 to `count` that carry one value.
  Value emitReduction(Value count, Value init,
                      function_ref<Value(Value, Value)> body) {
    auto loop = scf::ForOp::create(b, math.constant(0), count, math.constant(1),
                                   ValueRange{init});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value next = body(loop.getInductionVar(), loop.getRegionIterArg(0));
    scf::YieldOp::create(b, next);
    return loop.getResult(0);
  }

  /// Makes the digits of `rows` rows; whether they say what the numbers are.
  Value emitDigits(Value rows) {
    Value numbersOf = memref::CollapseShapeOp::create(
        b, a, SmallVector<ReassociationIndices>{{0}, {1}, {2}, {3, 4}});
    auto loadGroup = [&](Value row, Value block, Value at) {
      return vector::LoadOp::create(
          b, group(b.getF32Type()), numbersOf,
          ValueRange{row, block, at, math.constant(0)});
    };
    Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
    return emitReduction(rows, yes, [&](Value row, Value exact) {
      return emitReduction(
          math.constant(blocks), exact, [&](Value block, Value exact) {
            Value most = emitReduction(
                math.constant(groups),
                arith::ConstantOp::create(b,
                                          b.getZeroAttr(group(b.getF32Type()))),
                [&](Value at, Value most) -> Value {
                  Value x = math::AbsFOp::create(b, loadGroup(row, block, at));
                  return arith::MaximumFOp::create(b, most, x);
                });
            most = vector::ReductionOp::create(
                b, vector::CombiningKind::MAXIMUMF, most);
            // NaN is in no range. A quotient by numbers near 0 is infinite.
            auto compare = [&](arith::CmpFPredicate predicate, double bound) {
              return arith::CmpFOp::create(b, predicate, most,
                                           constantFloat(bound));
            };
            Value fits = arith::AndIOp::create(
                b, compare(arith::CmpFPredicate::OGE, kLeast),
                compare(arith::CmpFPredicate::OLT, INFINITY));
            fits = arith::OrIOp::create(b, fits,
                                        compare(arith::CmpFPredicate::OEQ, 0));
            most = arith::MaximumFOp::create(b, most, constantFloat(kLeast));
            Value factor =
                arith::DivFOp::create(b, constantFloat(kLargest), most);
            Value sum = emitGroups(row, block, factor, loadGroup);
            Value scale =
                arith::DivFOp::create(b, most, constantFloat(kLargest));
            Value whole = arith::SIToFPOp::create(b, b.getF32Type(), sum);
            for (auto [i, x] : llvm::enumerate(ArrayRef{scale, whole}))
              memref::StoreOp::create(
                  b, x, parameters,
                  ValueRange{row, block, math.constant(int64_t(i))});
            return arith::AndIOp::create(b, exact, fits).getResult();
          });
    });
  }

  /// The digits of a block's groups; the sum of its whole numbers.
  Value emitGroups(Value row, Value block, Value factor,
                   function_ref<Value(Value, Value, Value)> loadGroup) {
    VectorType words = group(b.getI32Type());
    // The numbers of one place in four bytes side by side.
    SmallVector<int64_t> order;
    for (int64_t i = 0; i < numbers; ++i)
      for (int64_t t = 0; t < kGroup; ++t)
        order.push_back(t * numbers + i);
    Value zeros = arith::ConstantOp::create(b, b.getZeroAttr(words));
    Value sums = emitReduction(
        math.constant(groups), zeros, [&](Value at, Value sum) -> Value {
          Value x = arith::MulFOp::create(
              b, loadGroup(row, block, at),
              vector::BroadcastOp::create(b, group(b.getF32Type()), factor));
          Value left = arith::FPToSIOp::create(b, words,
                                               math::RoundEvenOp::create(b, x));
          Value next = arith::AddIOp::create(b, sum, left);
          for (int64_t d = kDigits - 1; d >= 0; --d) {
            Value digit = left;
            if (d) {
              digit = shift<arith::ShRSIOp>(shift<arith::ShLIOp>(left, 24), 24);
              left = arith::SubIOp::create(b, left, digit);
              left = shift<arith::ShRSIOp>(left, 8);
            }
            digit = arith::TruncIOp::create(b, group(b.getI8Type()), digit);
            digit = vector::ShuffleOp::create(b, digit, digit, order);
            vector::StoreOp::create(
                b, digit, digits,
                ValueRange{row, block, at,
                           math.constant(d * kGroup * numbers)});
          }
          return next;
        });
    return vector::ReductionOp::create(b, vector::CombiningKind::ADD, sums);
  }

  Value multiplyDigits(Value sum, Value q, Value digit) {
    auto type = cast<VectorType>(sum.getType());
    std::string name =
        dot == DotKind::Vnni
            ? llvm::formatv("llvm.x86.avx512.vpdpbusd.{0}", lanes * 32).str()
        : dot == DotKind::I8mm ? "llvm.aarch64.neon.usdot.v4i32.v16i8"
                               : "llvm.aarch64.neon.sdot.v4i32.v16i8";
    return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name),
                                         ValueRange{sum, q, digit})
        .getResults();
  }

  /// One block for a row of digits and the vectors from `column`.
  void emitDigitBlock(Value panel, Value block, Value row, Value column) {
    auto words = VectorType::get(lanes, b.getI32Type());
    auto octets = VectorType::get(lanes * kGroup, b.getI8Type());
    SmallVector<Value> columns;
    for (int64_t v = 0; v < vectors; ++v)
      columns.push_back(math.add(column, v * lanes));
    Value none = arith::ConstantOp::create(b, b.getZeroAttr(words));
    SmallVector<Value> sums(vectors * kDigits, none);
    auto loop = scf::ForOp::create(b, math.constant(0), math.constant(groups),
                                   math.constant(1), sums);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      SmallVector<Value> next(loop.getRegionIterArgs());
      Value at = loop.getInductionVar();
      SmallVector<Value> factors;
      for (int64_t i = 0; i < kDigits * numbers; ++i) {
        Value four = vector::LoadOp::create(
            b, VectorType::get(kGroup, b.getI8Type()), digits,
            ValueRange{row, block, at, math.constant(i * kGroup)});
        Value word = vector::ExtractOp::create(
            b,
            vector::BitCastOp::create(b, VectorType::get(1, b.getI32Type()),
                                      four),
            0);
        factors.push_back(vector::BitCastOp::create(b, octets, splat(word)));
      }
      int64_t mask = ((1 << bits) - 1) * 0x01010101;
      for (int64_t v = 0; v < vectors; ++v) {
        Value read = readWords(panel, block, at, columns[v]);
        for (int64_t i = 0; i < numbers; ++i) {
          Value q = read;
          if (i)
            q = arith::ShRUIOp::create(b, q, integers(i * bits));
          if (numbers > 1)
            q = arith::AndIOp::create(b, q, integers(mask));
          q = vector::BitCastOp::create(b, octets, q);
          for (int64_t d = 0; d < kDigits; ++d) {
            Value &sum = next[v * kDigits + d];
            sum = multiplyDigits(sum, q, factors[d * numbers + i]);
          }
        }
      }
      scf::YieldOp::create(b, next);
    }
    auto parameter = [&](int64_t i) {
      return splat(memref::LoadOp::create(
          b, parameters, ValueRange{row, block, math.constant(i)}));
    };
    Value rowScale = parameter(0), whole = parameter(1);
    for (int64_t v = 0; v < vectors; ++v) {
      Value sum;
      for (int64_t d = 0; d < kDigits; ++d) {
        Value digit = arith::SIToFPOp::create(b, floats(),
                                              loop.getResult(v * kDigits + d));
        sum = sum ? multiplyAdd(sum, splat(constantFloat(256)), digit) : digit;
      }
      Value offset = zero ? splat(constantFloat(double(zero.getInt())))
                          : load(zeros, {panel, block, columns[v]});
      sum = arith::SubFOp::create(b, sum,
                                  arith::MulFOp::create(b, whole, offset));
      Value scale = arith::MulFOp::create(
          b, load(scales, {panel, block, columns[v]}), rowScale);
      SmallVector<Value> at{row, panel, columns[v]};
      vector::StoreOp::create(b, multiplyAdd(sum, scale, load(y, at)), y, at);
    }
  }

  //===--------------------------------------------------------------------===//
  // Loops
  //===--------------------------------------------------------------------===//

  void emitLoop(Value from, Value to, int64_t step,
                function_ref<void(Value)> body) {
    auto loop = scf::ForOp::create(b, from, to, math.constant(step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    body(loop.getInductionVar());
  }

  /// The blocks of all vectors of a panel's columns.
  void emitBlocks(function_ref<void(Value, Value)> body) {
    Value zero = math.constant(0);
    emitLoop(zero, math.constant(width), vectors * lanes, [&](Value column) {
      emitLoop(zero, math.constant(blocks), 1,
               [&](Value block) { body(block, column); });
    });
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

  void emitDigitPanel(Value panel, Value rows) {
    emitLoop(math.constant(0), rows, 1, [&](Value row) {
      emitBlocks([&](Value block, Value column) {
        emitDigitBlock(panel, block, row, column);
      });
    });
  }

  void emitPanels(bool threads, double cycles, function_ref<void(Value)> body) {
    if (threads && emitUnits(b, {math.constant(panels)}, cycles,
                             [&](const Unit &unit) { body(unit.index[0]); }))
      return;
    emitLoop(math.constant(0), math.constant(panels), 1, body);
  }

  void emit(bool threads, DotKind kind, int64_t dotBytes) {
    Value rows = b.createOrFold<memref::DimOp>(y, int64_t(0));
    double cycles = double(blocks * groups * kGroup * width) / lanes * 4 *
                    double(staticIndex(rows).value_or(1));
    auto emitFloats = [&] {
      emitPanels(threads, cycles, [&](Value panel) { emitPanel(panel, rows); });
    };
    int64_t most = countDigitRows(kind, dotBytes);
    if (most == 0)
      return emitFloats();
    dot = kind;
    {
      OpBuilder::InsertionGuard guard(b);
      auto function =
          b.getInsertionBlock()->getParentOp()->getParentOfType<func::FuncOp>();
      if (!function)
        function = cast<func::FuncOp>(b.getInsertionBlock()->getParentOp());
      b.setInsertionPointToStart(&function.front());
      auto local = [&](ArrayRef<int64_t> shape, Type element) {
        auto type = MemRefType::get(shape, element);
        return memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
      };
      digits = local({most, blocks, groups, kDigits * numbers * kGroup},
                     b.getI8Type());
      parameters = local({most, blocks, 2}, b.getF32Type());
    }
    Value count = rows, few;
    if (!staticIndex(rows)) {
      few = arith::CmpIOp::create(b, arith::CmpIPredicate::sle, rows,
                                  math.constant(most));
      count = arith::SelectOp::create(b, few, rows, math.constant(0));
    }
    Value condition = emitDigits(count);
    if (few)
      condition = arith::AndIOp::create(b, condition, few);
    auto choice = scf::IfOp::create(b, condition, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(choice.thenBlock());
    emitPanels(threads, cycles / 2,
               [&](Value panel) { emitDigitPanel(panel, rows); });
    b.setInsertionPointToStart(choice.elseBlock());
    emitFloats();
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
      BlockProductEmitter(op, lanes, registers, fma)
          .emit(threads, *kind, dotBytes);
      remarkDone(op.getLoc(), "dlc-lower-block-product")
          << remark::add("kernel: weights real in registers only");
      markVectorCode(op);
      op.erase();
    }
  }
};

} // namespace
