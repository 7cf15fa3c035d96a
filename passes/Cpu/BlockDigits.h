/// \file
/// Rows as digits, for products with weights of few bits by dot products of
/// bytes: a block's numbers are multiples of its largest one by 1 / kLargest,
/// and those whole numbers have three digits of 8 bits.
#ifndef DLC_PASSES_CPU_BLOCKDIGITS_H
#define DLC_PASSES_CPU_BLOCKDIGITS_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "passes/Cpu/BlockProductEmit.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

namespace dlc::block {

constexpr int64_t kDigits = 3;
/// The largest whole number: its first digit is 127.
constexpr double kLargest = 127.0 * 65536;
/// A block of smaller numbers has no digits, unless all are 0.
constexpr double kLeast = 1e-30;
/// Of so many numbers sums are exact in i32, and those of a digit in f32.
constexpr int64_t kMostInBlock = 256;
/// That have digits at a time. Three products of a digit do what four
/// multiply-adds of floats do, so digits are faster for any number of rows.
constexpr int64_t kMostRows = 8;
constexpr int64_t kStackBytes = 64 * 1024;

struct DigitEmitter : BlockProductEmitter {
  using BlockProductEmitter::BlockProductEmitter;

  DotKind dot = DotKind::None;
  /// [row, block, group, digits of a group] and [row, block, scale and sum].
  Value digits, parameters;

  /// For how many rows there are digits at a time; 0 if the machine has no
  /// products of them.
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
    return ShapedType::isDynamic(rows) ? kMostRows : std::min(rows, kMostRows);
  }

  /// Of how many blocks the buffer has room for the digits of `rows` rows.
  int64_t countDigitBlocks(int64_t rows) {
    int64_t block = groups * kGroup * numbers * kDigits + 8;
    return std::min(std::max<int64_t>(kStackBytes / (rows * block), 1), blocks);
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
            // As integers, whose order is that of absolute values, with NaN
            // behind all of them.
            VectorType words = group(b.getI32Type());
            Value most = emitReduction(
                math.constant(groups),
                arith::ConstantOp::create(b, b.getZeroAttr(words)),
                [&](Value at, Value most) -> Value {
                  Value x = arith::BitcastOp::create(b, words,
                                                     loadGroup(row, block, at));
                  x = shift<arith::ShRUIOp>(shift<arith::ShLIOp>(x, 1), 1);
                  return arith::MaxUIOp::create(b, most, x);
                });
            most = vector::ReductionOp::create(b, vector::CombiningKind::MAXUI,
                                               most);
            most = arith::BitcastOp::create(b, b.getF32Type(), most);
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
            if (zero)
              whole = arith::MulFOp::create(
                  b, whole, constantFloat(double(zero.getInt())));
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

  /// Asks for the bytes of the next columns, maybe of the next panel.
  void prefetchNext(Value panel, Value block, Value group,
                    ArrayRef<Value> columns) {
    Value next = math.add(columns.back(), lanes);
    panel = math.add(panel, math.div(next, width));
    next = math.mul(math.rem(next, width), kGroup);
    int64_t size = int64_t(columns.size()) * lanes * kGroup;
    for (int64_t line = 0; line < size; line += kLineBytes)
      memref::PrefetchOp::create(
          b, bytes, ValueRange{panel, block, group, math.add(next, line)},
          /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
  }

  /// What one block adds to the sums of these rows and columns.
  SmallVector<Value> emitDigitBlock(Value panel, Value block,
                                    ArrayRef<Value> rows,
                                    ArrayRef<Value> columns, ValueRange sumsOfY,
                                    bool isFirst) {
    auto words = VectorType::get(lanes, b.getI32Type());
    auto octets = VectorType::get(lanes * kGroup, b.getI8Type());
    int64_t count = int64_t(rows.size()), across = int64_t(columns.size());
    Value none = arith::ConstantOp::create(b, b.getZeroAttr(words));
    SmallVector<Value> sums(count * across * kDigits, none);
    auto loop = scf::ForOp::create(b, math.constant(0), math.constant(groups),
                                   math.constant(1), sums);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      SmallVector<Value> next(loop.getRegionIterArgs());
      Value at = loop.getInductionVar();
      if (isFirst)
        prefetchNext(panel, block, at, columns);
      SmallVector<Value> factors; // [row][digit][number]
      for (Value each : rows)
        for (int64_t i = 0; i < kDigits * numbers; ++i) {
          Value four = vector::LoadOp::create(
              b, VectorType::get(kGroup, b.getI8Type()), digits,
              ValueRange{each, block, at, math.constant(i * kGroup)});
          Value word = vector::ExtractOp::create(
              b,
              vector::BitCastOp::create(b, VectorType::get(1, b.getI32Type()),
                                        four),
              0);
          factors.push_back(vector::BitCastOp::create(b, octets, splat(word)));
        }
      int64_t mask = ((1 << bits) - 1) * 0x01010101;
      for (int64_t v = 0; v < across; ++v) {
        Value read = readWords(panel, block, at, columns[v]);
        for (int64_t i = 0; i < numbers; ++i) {
          Value q = read;
          if (i)
            q = arith::ShRUIOp::create(b, q, integers(i * bits));
          if (numbers > 1)
            q = arith::AndIOp::create(b, q, integers(mask));
          q = vector::BitCastOp::create(b, octets, q);
          for (int64_t r = 0; r < count; ++r)
            for (int64_t d = 0; d < kDigits; ++d) {
              Value &sum = next[(r * across + v) * kDigits + d];
              sum = multiplyDigits(sum, q,
                                   factors[(r * kDigits + d) * numbers + i]);
            }
        }
      }
      scf::YieldOp::create(b, next);
    }
    SmallVector<Value> after;
    for (int64_t r = 0; r < count; ++r) {
      Value scale = loadParameter(rows[r], block, 0);
      Value whole = loadParameter(rows[r], block, 1);
      for (int64_t v = 0; v < across; ++v) {
        int64_t i = r * across + v;
        after.push_back(addDigits(panel, block, columns[v], scale, whole,
                                  loop.getResults().slice(i * kDigits, kDigits),
                                  sumsOfY[i]));
      }
    }
    return after;
  }

  Value loadParameter(Value row, Value block, int64_t i) {
    return splat(memref::LoadOp::create(
        b, parameters, ValueRange{row, block, math.constant(i)}));
  }

  /// `sum` and what the sums of a row's digits in a block stand for. Those of
  /// the lower digits fit an i32 together.
  Value addDigits(Value panel, Value block, Value column, Value rowScale,
                  Value whole, ValueRange digitSums, Value sum) {
    static_assert(kDigits == 3);
    auto toFloat = [&](Value x) {
      return arith::SIToFPOp::create(b, floats(), x);
    };
    Value low = arith::AddIOp::create(b, shift<arith::ShLIOp>(digitSums[1], 8),
                                      digitSums[2]);
    Value value = multiplyAdd(toFloat(digitSums[0]),
                              splat(constantFloat(65536)), toFloat(low));
    // Of one zero point for all, `whole` is multiplied already.
    if (!zero)
      whole =
          arith::MulFOp::create(b, whole, load(zeros, {panel, block, column}));
    value = arith::SubFOp::create(b, value, whole);
    Value scale = arith::MulFOp::create(b, load(scales, {panel, block, column}),
                                        rowScale);
    return multiplyAdd(value, scale, sum);
  }

  /// All blocks of `count` rows from `row` and `across` vectors from `column`;
  /// the first rows ask for the next columns.
  void emitDigitTile(Value panel, Value row, int64_t count, Value column,
                     int64_t across, bool isFirst) {
    SmallVector<Value> rows, columns, sums;
    for (int64_t r = 0; r < count; ++r)
      rows.push_back(math.add(row, r));
    for (int64_t v = 0; v < across; ++v)
      columns.push_back(math.add(column, v * lanes));
    auto at = [&](size_t i) {
      return SmallVector<Value>{rows[i / across], panel, columns[i % across]};
    };
    for (int64_t i = 0; i < count * across; ++i)
      sums.push_back(load(y, at(i)));
    auto loop = scf::ForOp::create(b, math.constant(0), math.constant(blocks),
                                   math.constant(1), sums);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      scf::YieldOp::create(
          b, emitDigitBlock(panel, loop.getInductionVar(), rows, columns,
                            loop.getRegionIterArgs(), isFirst));
    }
    for (auto [i, sum] : llvm::enumerate(loop.getResults()))
      vector::StoreOp::create(b, sum, y, at(i));
  }

  /// Two rows share what is unpacked; their digits take registers, so the tile
  /// is half as wide. All of them follow each other on the same columns, which
  /// stay in the first cache.
  void emitDigitPanel(Value panel, Value rows) {
    Value most = math.roundDown(rows, 2);
    auto emitRows = [&](Value from, Value to, int64_t count, int64_t across) {
      if (isStatic(math.sub(to, from), 0))
        return;
      emitEach(math.constant(0), math.constant(width), across * lanes,
               [&](Value column) {
                 Value next = math.min(to, math.add(from, count));
                 auto emitTiles = [&](Value from, Value to, bool isFirst) {
                   emitEach(from, to, count, [&](Value row) {
                     emitDigitTile(panel, row, count, column, across, isFirst);
                   });
                 };
                 emitTiles(from, next, true);
                 emitTiles(next, to, false);
               });
    };
    emitRows(math.constant(0), most, 2, std::max<int64_t>(vectors / 2, 1));
    emitRows(most, rows, 1, vectors);
  }
};

} // namespace dlc::block

#endif
