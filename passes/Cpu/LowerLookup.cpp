// Looks numbers up in tables of 256 bytes: many at once, where instructions
// permute the bytes of registers, else one by one in memory.
//
// | form    | instructions                                    | bytes at once |
// |---------|-------------------------------------------------|---------------|
// | vpermb  | two vpermi2b, each of 128 entries, and a blend  | 64            |
// | vpermw  | two vpermi2w of pairs of entries, and shifts    | 32            |
// | vpshufb | sixteen vpshufb of 16 entries each              | 32 or 16      |
// | tbl     | tbl and three tbx of 64 entries each            | 16 or 8       |

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "passes/Cpu/Passes.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_LOWERLOOKUP
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace dlc;

namespace {

/// Emits the code of one dlc.lookup.
class LookupEmitter {
public:
  LookupEmitter(LookupOp op, LLVM::GlobalOp table)
      : b(op.getLoc(), op), table(LLVM::AddressOfOp::create(b, table)) {}

  Value emitScalar(Value x);
  /// Nothing if `form` has no code for vectors of so many bytes.
  Value emitVector(StringRef form, Value x);
  Value emitElements(Value x);

private:
  VectorType bytes(int64_t count) {
    return VectorType::get({count}, b.getI8Type());
  }
  static int64_t countOf(Value x) {
    return cast<VectorType>(x.getType()).getNumElements();
  }
  Value constant(VectorType type, int64_t value) {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(
               type, b.getIntegerAttr(type.getElementType(), value)));
  }
  Value load(VectorType type, int64_t offset) {
    Value at = LLVM::GEPOp::create(b, table.getType(), b.getI8Type(), table,
                                   ArrayRef<LLVM::GEPArg>{int32_t(offset)});
    return LLVM::LoadOp::create(b, type, at, /*alignment=*/16);
  }
  Value call(Type type, StringRef name, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name),
                                         operands)
        .getResult(0);
  }
  /// The first `count` bytes of x, or x and any others.
  Value resize(Value x, int64_t count) {
    SmallVector<int64_t> places(count, -1);
    for (int64_t i = 0, e = std::min(count, countOf(x)); i < e; ++i)
      places[i] = i;
    return vector::ShuffleOp::create(b, x, x, places);
  }
  Value isHigh(Value x) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, x,
                                 constant(cast<VectorType>(x.getType()), 0));
  }
  Value emitPermutedBytes(Value x);
  Value emitPermutedWords(Value x);
  Value emitShuffles(Value x);
  Value emitTables(Value x);

  ImplicitLocOpBuilder b;
  Value table;
};

struct LowerLookupPass : dlc::impl::LowerLookupBase<LowerLookupPass> {
  using LowerLookupBase::LowerLookupBase;

  void runOnOperation() override;
};

} // namespace

Value LookupEmitter::emitScalar(Value x) {
  Value index = arith::ExtUIOp::create(b, b.getI32Type(), x);
  Value at = LLVM::GEPOp::create(b, table.getType(), b.getI8Type(), table,
                                 ArrayRef<LLVM::GEPArg>{index});
  return LLVM::LoadOp::create(b, b.getI8Type(), at, /*alignment=*/1);
}

Value LookupEmitter::emitElements(Value x) {
  SmallVector<Value> results;
  for (int64_t i = 0; i < countOf(x); ++i)
    results.push_back(emitScalar(vector::ExtractOp::create(b, x, i)));
  return vector::FromElementsOp::create(b, cast<VectorType>(x.getType()),
                                        results);
}

/// vpermi2b takes the last 7 bits of an index.
Value LookupEmitter::emitPermutedBytes(Value x) {
  int64_t count = countOf(x);
  Value index = resize(x, 64);
  auto half = [&](int64_t from) {
    return resize(
        call(bytes(64), "llvm.x86.avx512.vpermi2var.qi.512",
             {load(bytes(64), from), index, load(bytes(64), from + 64)}),
        count);
  };
  Value low = half(0), high = half(128);
  return arith::SelectOp::create(b, isHigh(x), high, low);
}

/// vpermi2w takes the last 6 bits of an index, here that of a pair of entries.
Value LookupEmitter::emitPermutedWords(Value x) {
  int64_t count = countOf(x);
  auto words = VectorType::get({32}, b.getI16Type());
  Value wide = arith::ExtUIOp::create(b, words, resize(x, 32));
  Value index = arith::ShRUIOp::create(b, wide, constant(words, 1));
  auto half = [&](int64_t from) {
    return call(words, "llvm.x86.avx512.vpermi2var.hi.512",
                {load(words, from), index, load(words, from + 64)});
  };
  Value low = half(0), high = half(128);
  Value isBeyond = arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, wide,
                                         constant(words, 127));
  Value pairs = arith::SelectOp::create(b, isBeyond, high, low);
  Value odd = arith::AndIOp::create(b, wide, constant(words, 1));
  Value amount = arith::ShLIOp::create(b, odd, constant(words, 3));
  Value entries = arith::TruncIOp::create(
      b, bytes(32), arith::ShRUIOp::create(b, pairs, amount));
  return resize(entries, count);
}

/// vpshufb gives 0 where the top bit of an index is set, which the saturated
/// sum has unless x is one of the 16 whose entries the register holds.
Value LookupEmitter::emitShuffles(Value x) {
  int64_t count = countOf(x);
  auto type = bytes(count);
  StringRef shuffle =
      count == 32 ? "llvm.x86.avx2.pshuf.b" : "llvm.x86.ssse3.pshuf.b.128";
  Value result;
  for (int64_t i = 0; i < 16; ++i) {
    Value entries = load(bytes(16), 16 * i);
    if (count == 32) {
      SmallVector<int64_t> twice;
      for (int64_t lane = 0; lane < 32; ++lane)
        twice.push_back(lane % 16);
      entries = vector::ShuffleOp::create(b, entries, entries, twice);
    }
    Value inside =
        i ? arith::XOrIOp::create(b, x, constant(type, 16 * i)).getResult() : x;
    Value index = call(type, "llvm.uadd.sat", {inside, constant(type, 0x70)});
    Value part = call(type, shuffle, {entries, index});
    result = result ? arith::OrIOp::create(b, result, part).getResult() : part;
  }
  return result;
}

/// tbl gives 0 for indices beyond its 64 entries, tbx what stood there.
Value LookupEmitter::emitTables(Value x) {
  int64_t count = countOf(x);
  auto type = bytes(count);
  std::string suffix = llvm::formatv("4.v{0}i8", count);
  Value result;
  for (int64_t i = 0; i < 4; ++i) {
    SmallVector<Value> operands;
    for (int64_t part = 0; part < 4; ++part)
      operands.push_back(load(bytes(16), 64 * i + 16 * part));
    if (!i) {
      operands.push_back(x);
      result = call(type, "llvm.aarch64.neon.tbl" + suffix, operands);
      continue;
    }
    operands.push_back(arith::SubIOp::create(b, x, constant(type, 64 * i)));
    operands.insert(operands.begin(), result);
    result = call(type, "llvm.aarch64.neon.tbx" + suffix, operands);
  }
  return result;
}

Value LookupEmitter::emitVector(StringRef form, Value x) {
  int64_t count = countOf(x);
  if (form == "vpermb" && count >= 8 && count <= 64)
    return emitPermutedBytes(x);
  if (form == "vpermw" && count >= 8 && count <= 32)
    return emitPermutedWords(x);
  if (form == "vpermw" && count == 64) {
    SmallVector<int64_t> high, all;
    for (int64_t i = 0; i < 64; ++i)
      all.push_back(i);
    high.assign(all.begin() + 32, all.end());
    Value last = vector::ShuffleOp::create(b, x, x, high);
    return vector::ShuffleOp::create(b, emitPermutedWords(resize(x, 32)),
                                     emitPermutedWords(last), all);
  }
  if (form == "vpshufb" && (count == 16 || count == 32))
    return emitShuffles(x);
  if (form == "tbl" && (count == 8 || count == 16))
    return emitTables(x);
  return {};
}

void LowerLookupPass::runOnOperation() {
  static constexpr StringLiteral kForms[] = {"none", "vpermb", "vpermw",
                                             "vpshufb", "tbl"};
  if (!llvm::is_contained(kForms, form)) {
    getOperation()->emitError("expected a form of lookups, one of ")
        << llvm::join(ArrayRef<StringLiteral>(kForms), ", ") << ", found '"
        << form << "'";
    return signalPassFailure();
  }
  SymbolTable symbols(getOperation());
  DenseMap<Attribute, LLVM::GlobalOp> tables;
  SmallVector<LookupOp> ops;
  getOperation().walk([&](LookupOp op) { ops.push_back(op); });
  for (LookupOp op : ops) {
    LLVM::GlobalOp &table = tables[op.getTableAttr()];
    if (!table) {
      OpBuilder b(getOperation().getBodyRegion());
      auto type = LLVM::LLVMArrayType::get(b.getI8Type(), 256);
      auto value = DenseElementsAttr::get(
          RankedTensorType::get({256}, b.getI8Type()), op.getTable());
      table = LLVM::GlobalOp::create(b, op.getLoc(), type, /*isConstant=*/true,
                                     LLVM::Linkage::Private, "lookup", value,
                                     /*alignment=*/64);
      symbols.insert(table);
    }
    LookupEmitter emitter(op, table);
    Value x = op.getX(), result;
    if (!isa<VectorType>(x.getType()))
      result = emitter.emitScalar(x);
    else if (result = emitter.emitVector(form, x); !result)
      result = emitter.emitElements(x);
    op.replaceAllUsesWith(result);
    op.erase();
  }
}
