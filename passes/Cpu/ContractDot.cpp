// Products of bytes, and of bfloat16, by dot product instructions.
//
//   for outer summed dimensions
//     for groups of four (or two) of the innermost one
//       sums[r][v] += dot(broadcast(A[row r, group]), B[group, v])
//     the rest of a group, whose other products are zeros of B
//
// With i8mm (smmla and its kin; bfmmla of bfloat16) two rows by eight bytes are
// multiplied with eight bytes of two columns, which two groups of four columns
// hold:
//
//   sums[two rows][two columns] += A[rows, pair of groups] x zip(B[group, v],
//                                                                B[group + 1,
//                                                                v])
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
      .Cases({"vnni", "amx"}, DotKind::Vnni)
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
      .Cases({"vdpbf16ps", "tdpbf16ps"}, DotKind::Bf16)
      .Case("bfdot", DotKind::BfDot)
      .Case("bfmmla", DotKind::BfMmla)
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
  case DotKind::BfMmla:
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

StringRef DotProducts::getMatrixName() const {
  if (kind == DotKind::BfMmla)
    return "bfmmla";
  if (loops.aUnsigned != loops.bUnsigned)
    return "usmmla";
  return loops.aUnsigned ? "ummla" : "smmla";
}

StringRef DotProducts::getName() const {
  return usesMatrices(2) ? getMatrixName() : getDotName();
}

StringRef DotProducts::getDotName() const {
  switch (kind) {
  case DotKind::Vnni:
    return "vpdpbusd";
  case DotKind::Madd:
    return "pmaddwd";
  case DotKind::Bf16:
    return "vdpbf16ps";
  case DotKind::BfDot:
  case DotKind::BfMmla:
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

/// `count` elements of A in a vector of `size`; those beyond are 0.
Value DotProducts::loadElements(Value offset, int64_t count, int64_t size) {
  auto type = VectorType::get({size}, loops.a().type);
  if (count == size)
    return vector::LoadOp::create(e.b, type, loops.a().buffer,
                                  ValueRange{offset});
  // What lies beyond may be no memory.
  Value made = arith::ConstantOp::create(e.b, e.b.getZeroAttr(type));
  for (int64_t i = 0; i < count; ++i)
    made = vector::InsertOp::create(
        e.b, e.loadScalar(loops.a(), math.add(offset, i)), made, i);
  return made;
}

/// `count` elements of A as an i32.
Value DotProducts::loadGroup(Value offset, int64_t count) {
  Value group = loadElements(offset, count, getGroup());
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
  if (arePairs())
    return call("llvm.aarch64.neon.bfdot.v4f32.v8bf16", {sum, a[0], b[0]});
  bool is32 = kind == DotKind::SDot32 || kind == DotKind::I8mm32;
  return call(llvm::formatv("llvm.{0}.neon.{1}.v4i32.v16i8",
                            is32 ? "arm" : "aarch64", getDotName())
                  .str(),
              {sum, a[0], b[0]});
}

//===----------------------------------------------------------------------===//
// Products of small matrices
//===----------------------------------------------------------------------===//

/// Whether the machine has them, and the rows come in pairs.
bool DotProducts::usesMatrices(size_t rows) const {
  return (kind == DotKind::I8mm || kind == DotKind::BfMmla) && lanes == 4 &&
         rows % 2 == 0 && rows > 0;
}

/// Ten rows and two vectors have 20 sums, five pairs of rows and three vectors
/// of B in the 32 registers; eight rows where those leave no single row. A
/// panel is made of tiles, so three vectors stay three, of six rows.
RegisterTile DotProducts::pairRows(RegisterTile tile,
                                   std::optional<int64_t> rows) const {
  if (!usesMatrices(2) || rows.value_or(8) < 2 || tile.vectors > 4)
    return tile;
  int64_t height = tile.vectors == 3 ? 6 : 10;
  if (height == 10 && rows && *rows % 10 % 2 && *rows % 8 % 2 == 0)
    height = 8;
  if (rows)
    height = std::min<int64_t>(height, *rows / 2 * 2);
  return {height, tile.vectors == 4 ? 2 : tile.vectors};
}

/// Adds the products of up to two groups, `present` elements, of all rows and
/// `count` vectors of columns. `sums` are those of two rows and two columns
/// each.
DotProducts::Sums
DotProducts::multiplyMatrices(ArrayRef<ContractEmitter::Offsets> rows,
                              int64_t count, Value aOffset, Value bOffset,
                              int64_t present, ArrayRef<Value> before) {
  const int64_t group = getGroup();
  auto shuffle = [&](Value x, Value y, ArrayRef<int64_t> order) -> Value {
    return vector::ShuffleOp::create(e.b, x, y, order);
  };
  SmallVector<Value> left;
  for (size_t r = 0; r < rows.size(); r += 2) {
    Value x = loadElements(math.add(rows[r][0], aOffset), present, 2 * group);
    Value y =
        loadElements(math.add(rows[r + 1][0], aOffset), present, 2 * group);
    Value both =
        shuffle(x, y, llvm::to_vector(llvm::seq<int64_t>(0, 4 * group)));
    if (loops.aFlipped) {
      Value top = arith::ConstantOp::create(
          e.b, DenseElementsAttr::get(vector(8),
                                      Attribute(e.b.getI8IntegerAttr(-128))));
      both = arith::XOrIOp::create(e.b, both, top);
    }
    left.push_back(both);
  }
  std::string name = ("llvm.aarch64.neon." + getMatrixName() +
                      (arePairs() ? "" : ".v4i32.v16i8"))
                         .str();
  Sums after(before);
  for (int64_t v = 0; v < count; ++v) {
    auto load = [&](Value start) -> Value {
      return vector::BitCastOp::create(
          e.b, vector(32),
          prepareB(math.add(start, v * lanes * group)).front());
    };
    Value first = load(bOffset);
    // Behind the last group may be nothing.
    Value second = present > group
                       ? load(math.add(bOffset, loops.b().groupStride))
                       : Value(arith::ConstantOp::create(
                             e.b, e.b.getZeroAttr(vector(32))));
    for (int64_t half = 0; half < 2; ++half) {
      int64_t c = 2 * half;
      Value right = shuffle(first, second, {c, c + 4, c + 1, c + 5});
      right = vector::BitCastOp::create(e.b, elements(), right);
      for (size_t r = 0; r < left.size(); ++r) {
        Value &sum = after[(r * count + v) * 2 + half];
        sum = call(name, {sum, left[r], right});
      }
    }
  }
  return after;
}

/// Sums of two rows and two columns each as vectors of a row.
DotProducts::Sums DotProducts::toRows(ArrayRef<Value> sums, int64_t count) {
  Sums made(sums.size(), Value());
  for (int64_t i = 0, e = int64_t(sums.size()) / 2; i < e; ++i) {
    int64_t row = i / count * 2, v = i % count;
    for (int64_t r = 0; r < 2; ++r)
      made[(row + r) * count + v] = vector::ShuffleOp::create(
          this->e.b, sums[2 * i], sums[2 * i + 1],
          ArrayRef<int64_t>{2 * r, 2 * r + 1, 2 * r + 4, 2 * r + 5});
  }
  return made;
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

void DotProducts::emitTile(ArrayRef<ContractEmitter::Offsets> rows,
                           Value bOffset, unsigned dim,
                           ArrayRef<TileColumn> columns, Value mask,
                           function_ref<void(Value, Value, int64_t)> prefetch) {
  // B has zeros behind the last column, so all vectors are whole until the
  // sums are stored.
  int64_t count = 0;
  for (const TileColumn &column : columns)
    count = std::max(count, column.offset / lanes + 1);
  Sums sums(rows.size() * count, e.zeros(lanes));

  unsigned k = *loops.b().groupDim;
  int64_t extent = *staticIndex(loops.extents[k]);
  bool isMatrix = usesMatrices(rows.size());
  const int64_t group = getGroup(), atOnce = isMatrix ? 2 * group : group;
  const int64_t whole = extent / atOnce;
  Value groupStride = loops.b().groupStride;
  auto step = [&](Value aOffset, Value bStart, ArrayRef<Value> before,
                  int64_t present) {
    if (isMatrix)
      return multiplyMatrices(rows, count, aOffset, bStart, present, before);
    SmallVector<Prepared> right;
    for (int64_t v = 0; v < count; ++v)
      right.push_back(prepareB(math.add(bStart, v * lanes * group)));
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
  int64_t unroll =
      std::clamp<int64_t>((isMatrix ? 24 : 48) / (int64_t(rows.size()) * count),
                          1, unrolls ? 8 : 1);
  // The innermost dimension counts groups for as long as loops are made.
  Value aStride = loops.a().strides[k], bStride = loops.b().strides[k];
  Value elements = loops.extents[k];
  Value stride = math.mul(groupStride, atOnce / group);
  loops.a().strides[k] = math.constant(atOnce);
  loops.b().strides[k] = stride;
  loops.extents[k] = math.constant(whole);
  sums = e.emitSum(
      ArrayRef(loops.sums).drop_back(), math.constant(0), bOffset, sums, 1,
      [&](Value aOffset, Value bStart, ArrayRef<Value> before) {
        Sums after = whole ? e.emitSum(
                                 k, aOffset, bStart, before, unroll,
                                 [&](Value a, Value b, ArrayRef<Value> start) {
                                   return step(a, b, start, atOnce);
                                 },
                                 prefetch)
                           : Sums(before);
        if (extent % atOnce)
          after = step(math.add(aOffset, whole * atOnce),
                       math.add(bStart, math.mul(stride, whole)), after,
                       extent % atOnce);
        return after;
      });
  loops.a().strides[k] = aStride;
  loops.b().strides[k] = bStride;
  loops.extents[k] = elements;
  if (isMatrix)
    sums = toRows(sums, count);

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
