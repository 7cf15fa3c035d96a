// Products of bytes, and of bfloat16, by dot product instructions.
//
//   for outer summed dimensions
//     for groups of four (or two) of the innermost one
//       sums[r][v] += dot(broadcast(A[row r, group]), B[group, v])
//     the rest of a group, whose other products are zeros of B
#include "passes/Cpu/ContractDot.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc;

std::optional<DotKind> dlc::parseDotKind(StringRef name) {
  return llvm::StringSwitch<std::optional<DotKind>>(name)
      .Case("none", DotKind::None)
      .Case("vnni", DotKind::Vnni)
      .Case("madd", DotKind::Madd)
      .Case("sdot", DotKind::SDot)
      .Case("i8mm", DotKind::I8mm)
      .Case("sdot32", DotKind::SDot32)
      .Case("i8mm32", DotKind::I8mm32)
      .Default(std::nullopt);
}

std::optional<DotKind> dlc::parsePairKind(StringRef name) {
  return llvm::StringSwitch<std::optional<DotKind>>(name)
      .Case("none", DotKind::None)
      .Case("vdpbf16ps", DotKind::Bf16)
      .Case("bfdot", DotKind::BfDot)
      .Default(std::nullopt);
}

std::optional<DotProducts> DotProducts::get(ContractEmitter &emitter) {
  ContractLoops &loops = emitter.loops;
  const ContractOperand &b = loops.b();
  bool arePairs = b.type.isBF16();
  int64_t bytes = arePairs ? emitter.cpu.vectorBytes : emitter.cpu.dotBytes;
  DotKind kind = arePairs ? emitter.cpu.pairs : emitter.cpu.dot;
  DotProducts dot(emitter, kind, bytes / 4);
  if (!b.groupDim || b.groupWidth != dot.getGroup() || !b.panelDim ||
      emitter.sumType.getIntOrFloatBitWidth() != 32 || bytes < 16 ||
      loops.sums.empty() || loops.sums.back() != *b.groupDim ||
      !isStatic(loops.a().strides[*b.groupDim], 1) ||
      !isStatic(b.strides[*b.groupDim], 1) ||
      !isStatic(b.strides[*b.panelDim], dot.getGroup()) || loops.bFlipped)
    return std::nullopt;
  switch (kind) {
  case DotKind::None:
    return std::nullopt;
  case DotKind::Bf16:
  case DotKind::BfDot:
    break;
  case DotKind::Vnni:
    if (!loops.aUnsigned || loops.bUnsigned)
      kind = DotKind::Madd;
    break;
  case DotKind::Madd:
    break;
  case DotKind::SDot:
  case DotKind::SDot32:
    if (loops.aUnsigned != loops.bUnsigned)
      return std::nullopt;
    break;
  case DotKind::I8mm:
  case DotKind::I8mm32:
    if (!loops.aUnsigned && loops.bUnsigned)
      return std::nullopt;
    break;
  }
  dot.kind = kind;
  return dot;
}

int64_t DotProducts::getRegisters() const {
  // Halves of A and B take a register each beside the sums.
  if (kind == DotKind::Madd)
    return e.cpu.registers >= 32 ? 26 : 12;
  return e.cpu.registers;
}

StringRef DotProducts::getName() const {
  switch (kind) {
  case DotKind::Vnni:
    return "vpdpbusd";
  case DotKind::Madd:
    return "pmaddwd";
  case DotKind::Bf16:
    return "vdpbf16ps";
  case DotKind::BfDot:
    return "bfdot";
  default:
    return loops.aUnsigned == loops.bUnsigned
               ? (loops.aUnsigned ? "udot" : "sdot")
               : "usdot";
  }
}

VectorType DotProducts::vector(unsigned bits) const {
  return VectorType::get({lanes * 32 / bits}, e.b.getIntegerType(bits));
}

/// A register of elements of A and B.
VectorType DotProducts::elements() const {
  return VectorType::get({lanes * getGroup()}, loops.b().type);
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

/// `count` elements of A as an i32; those beyond are 0.
Value DotProducts::loadGroup(Value offset, int64_t count) {
  auto type = VectorType::get({getGroup()}, loops.a().type);
  Value group;
  if (count == getGroup()) {
    group =
        vector::LoadOp::create(e.b, type, loops.a().buffer, ValueRange{offset});
  } else {
    // What lies beyond may be no memory.
    group = arith::ConstantOp::create(e.b, e.b.getZeroAttr(type));
    for (int64_t i = 0; i < count; ++i)
      group = vector::InsertOp::create(
          e.b, e.loadScalar(loops.a(), math.add(offset, i)), group, i);
  }
  Value word = vector::BitCastOp::create(
      e.b, VectorType::get({1}, e.b.getI32Type()), group);
  return vector::ExtractOp::create(e.b, word, 0);
}

DotProducts::Prepared DotProducts::prepareA(Value group) {
  Value words = vector::BroadcastOp::create(e.b, vector(32), group);
  if (loops.aFlipped) {
    Value top = arith::ConstantOp::create(
        e.b, DenseElementsAttr::get(
                 vector(32), Attribute(e.b.getI32IntegerAttr(0x80808080))));
    words = arith::XOrIOp::create(e.b, words, top);
  }
  Value all = vector::BitCastOp::create(e.b, elements(), words);
  return kind == DotKind::Madd ? splitPairs(all, loops.aUnsigned)
                               : Prepared{all};
}

DotProducts::Prepared DotProducts::prepareB(Value offset) {
  Value all = vector::LoadOp::create(e.b, elements(), loops.b().buffer,
                                     ValueRange{offset});
  return kind == DotKind::Madd ? splitPairs(all, loops.bUnsigned)
                               : Prepared{all};
}

/// The even and the odd bytes, extended to 16 bits.
DotProducts::Prepared DotProducts::splitPairs(Value bytes, bool isUnsigned) {
  auto pairs = vector(16);
  auto constant = [&](int16_t value) {
    return arith::ConstantOp::create(
        e.b,
        DenseElementsAttr::get(pairs, Attribute(e.b.getI16IntegerAttr(value))));
  };
  Value both = vector::BitCastOp::create(e.b, pairs, bytes);
  Value eight = constant(8);
  if (isUnsigned)
    return {arith::AndIOp::create(e.b, both, constant(0xff)),
            arith::ShRUIOp::create(e.b, both, eight)};
  Value even = arith::ShLIOp::create(e.b, both, eight);
  return {arith::ShRSIOp::create(e.b, even, eight),
          arith::ShRSIOp::create(e.b, both, eight)};
}

//===----------------------------------------------------------------------===//
// Instructions
//===----------------------------------------------------------------------===//

Value DotProducts::call(StringRef intrinsic, ValueRange arguments) {
  return LLVM::CallIntrinsicOp::create(e.b, VectorType::get({lanes}, e.sumType),
                                       e.b.getStringAttr(intrinsic), arguments)
      .getResults();
}

Value DotProducts::accumulate(Value sum, const Prepared &a, const Prepared &b) {
  int64_t bits = lanes * 32;
  if (kind == DotKind::Vnni)
    return call(llvm::formatv("llvm.x86.avx512.vpdpbusd.{0}", bits).str(),
                {sum, a[0], b[0]});
  if (kind == DotKind::Madd) {
    StringRef name = bits == 512   ? "llvm.x86.avx512.pmaddw.d.512"
                     : bits == 256 ? "llvm.x86.avx2.pmadd.wd"
                                   : "llvm.x86.sse2.pmadd.wd";
    for (auto [x, y] : llvm::zip_equal(a, b))
      sum = arith::AddIOp::create(e.b, sum, call(name, {x, y}));
    return sum;
  }
  if (kind == DotKind::Bf16)
    return call(llvm::formatv("llvm.x86.avx512bf16.dpbf16ps.{0}", bits).str(),
                {sum, a[0], b[0]});
  if (kind == DotKind::BfDot)
    return call("llvm.aarch64.neon.bfdot.v4f32.v8bf16", {sum, a[0], b[0]});
  bool is32 = kind == DotKind::SDot32 || kind == DotKind::I8mm32;
  return call(llvm::formatv("llvm.{0}.neon.{1}.v4i32.v16i8",
                            is32 ? "arm" : "aarch64", getName())
                  .str(),
              {sum, a[0], b[0]});
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

void DotProducts::emitTile(ArrayRef<ContractEmitter::Offsets> rows,
                           Value bOffset, unsigned dim,
                           ArrayRef<TileColumn> columns, Value mask,
                           function_ref<void(Value)> prefetch) {
  // B has zeros behind the last column, so all vectors are whole until the
  // sums are stored.
  int64_t count = 0;
  for (const TileColumn &column : columns)
    count = std::max(count, column.offset / lanes + 1);
  Sums sums(rows.size() * count, e.zeros(lanes));

  unsigned k = *loops.b().groupDim;
  int64_t extent = *staticIndex(loops.extents[k]);
  const int64_t group = getGroup(), whole = extent / group;
  Value groupStride = loops.b().groupStride;
  auto step = [&](Value aOffset, Value bStart, ArrayRef<Value> before,
                  int64_t present) {
    SmallVector<Prepared> right;
    for (int64_t v = 0; v < count; ++v)
      right.push_back(prepareB(math.add(bStart, v * lanes * group)));
    prefetch(bStart);
    Sums after(before);
    for (auto [r, row] : llvm::enumerate(rows)) {
      Prepared left = prepareA(loadGroup(math.add(row[0], aOffset), present));
      for (int64_t v = 0; v < count; ++v) {
        Value &sum = after[r * count + v];
        sum = accumulate(sum, left, right[v]);
      }
    }
    return after;
  };

  // LLVM reorders additions of several steps, and spills.
  bool unrolls = kind != DotKind::Madd && e.cpu.pointers > 4;
  int64_t unroll = std::clamp<int64_t>(48 / (int64_t(rows.size()) * count), 1,
                                       unrolls ? 8 : 1);
  // The innermost dimension counts groups for as long as loops are made.
  Value aStride = loops.a().strides[k], bStride = loops.b().strides[k];
  Value elements = loops.extents[k];
  loops.a().strides[k] = math.constant(group);
  loops.b().strides[k] = groupStride;
  loops.extents[k] = math.constant(whole);
  sums = e.emitSum(
      ArrayRef(loops.sums).drop_back(), math.constant(0), bOffset, sums, 1,
      [&](Value aOffset, Value bStart, ArrayRef<Value> before) {
        Sums after =
            whole ? e.emitSum(k, aOffset, bStart, before, unroll,
                              [&](Value a, Value b, ArrayRef<Value> start) {
                                return step(a, b, start, group);
                              })
                  : Sums(before);
        if (extent % group)
          after = step(math.add(aOffset, whole * group),
                       math.add(bStart, math.mul(groupStride, whole)), after,
                       extent % group);
        return after;
      });
  loops.a().strides[k] = aStride;
  loops.b().strides[k] = bStride;
  loops.extents[k] = elements;

  for (auto [r, row] : llvm::enumerate(rows))
    for (auto [v, column] : llvm::enumerate(columns)) {
      ContractEmitter::Offsets at;
      for (auto [operand, offset] : llvm::zip_equal(loops.operands, row))
        at.push_back(
            math.add(offset, math.mul(operand.strides[dim], column.offset)));
      Value sum = sums[r * count + column.offset / lanes];
      if (column.width != lanes) {
        int64_t first = column.offset % lanes;
        sum = vector::ShuffleOp::create(
            e.b, sum, sum,
            llvm::to_vector(llvm::seq<int64_t>(first, first + column.width)));
      }
      e.finish(sum, at, dim, column, v + 1 == columns.size() ? mask : Value());
    }
}
