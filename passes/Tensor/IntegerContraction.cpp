// Zero points and signs of the operands of contractions of bytes.

#include "passes/Tensor/IntegerContraction.h"
#include "lib/Codegen/ElementBytes.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Tensor/Lowering.h"
#include "passes/Tensor/PackDot.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace dlc;

/// A pass over the input for the sums of so many is longer than the windows'.
static constexpr int64_t kFewChannels = 4;

namespace {

/// A zero point less some number, in i32: known, or a tensor.
struct ZeroPoint {
  std::optional<int64_t> known = 0;
  Value tensor;
  int64_t shift = 0; // to be added to `tensor`
  bool isUnsigned = false;

  /// Of a zero point that may be null; elements that are all the same are
  /// known.
  static ZeroPoint get(Value original, Value bytes, bool isUnsigned) {
    ZeroPoint zero;
    zero.isUnsigned = isUnsigned;
    if (!original)
      return zero;
    zero.tensor = bytes;
    zero.known = std::nullopt;
    ElementsAttr value;
    if (!matchPattern(original, m_Constant(&value)))
      return zero;
    std::vector<char> storage;
    ArrayRef<char> data = getElementData(value, storage);
    if (data.empty() || !llvm::all_equal(data))
      return zero;
    zero.known = isUnsigned ? int64_t(uint8_t(data[0])) : int64_t(data[0]);
    return zero;
  }

  void add(int64_t n) {
    shift += n;
    if (known)
      *known += n;
  }
  bool isZero() const { return known == 0; }
};

/// Emits the parts of one contraction.
class IntegerLowering {
public:
  IntegerLowering(OpBuilder &b, Location loc, IntegerContraction &c)
      : b(b), loc(loc), c(c), dims(c.maps[0].getNumDims()) {}

  Value lower(ByteKind wanted);

private:
  Value integer(int64_t value) {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value));
  }
  Value widen(Value byte, bool isUnsigned) {
    if (isUnsigned)
      return arith::ExtUIOp::create(b, loc, b.getI32Type(), byte);
    return arith::ExtSIOp::create(b, loc, b.getI32Type(), byte);
  }
  bool isInC(unsigned dim) { return c.maps[2].isFunctionOfDim(dim); }
  /// The result's innermost dimensions, along which the right zero point runs.
  ArrayRef<AffineExpr> getZeroDims() {
    return c.maps[2].getResults().take_back(
        cast<RankedTensorType>(rhsZero.tensor.getType()).getRank());
  }
  bool isDepthwise();
  bool hasWindowsOnly();
  bool hasTiles();
  bool areFew(ArrayRef<AffineExpr> channels);
  void subtractRightZero();
  void makeRightSigned();
  SmallVector<AffineExpr> keptBy(AffineMap map);
  SmallVector<OpFoldResult> sizesOf(ArrayRef<AffineExpr> exprs);
  SmallVector<OpFoldResult> extentsOf(ArrayRef<AffineExpr> exprs);
  std::pair<Value, AffineMap> createColumnTerm();
  std::pair<Value, AffineMap> createRowSums();
  AffineMap renumber(ArrayRef<AffineExpr> exprs, ArrayRef<AffineExpr> loops);
  Value createOnesProduct(ArrayRef<AffineExpr> places,
                          ArrayRef<AffineExpr> summed,
                          ArrayRef<AffineExpr> extents,
                          ArrayRef<AffineExpr> kept,
                          ArrayRef<OpFoldResult> sizes);
  Value createWindowSums(Value x, ArrayRef<AffineExpr> places,
                         ArrayRef<AffineExpr> windows,
                         ArrayRef<AffineExpr> kept);
  Value createContract(Value rhs, ArrayRef<AffineMap> maps, ValueRange extras,
                       ArrayRef<OpFoldResult> sizes,
                       function_ref<Value(Block &)> epilogue);

  OpBuilder &b;
  Location loc;
  IntegerContraction &c;
  unsigned dims;
  ZeroPoint lhsZero, rhsZero;
  bool flips = false;
};

} // namespace

/// Channel by channel: there is no sum that instructions could group.
bool IntegerLowering::isDepthwise() {
  for (auto [i, expr] : llvm::enumerate(c.maps[1].getResults()))
    for (unsigned dim = 0; dim < dims; ++dim)
      if (expr.isFunctionOfDim(dim) && isInC(dim) &&
          !c.maps[0].isFunctionOfDim(dim))
        if (cast<RankedTensorType>(c.rhs.getType()).getDimSize(i) != 1)
          return false;
  return true;
}

/// True if each summed dimension is one of a window.
bool IntegerLowering::hasWindowsOnly() {
  for (unsigned dim = 0; dim < dims; ++dim)
    if (!isInC(dim) &&
        llvm::is_contained(c.maps[0].getResults(), b.getAffineDimExpr(dim)))
      return false;
  return true;
}

/// True if the rows, those of a batch, are enough for products of tiles, or
/// their number is not known.
bool IntegerLowering::hasTiles() {
  int64_t rows = 1;
  for (auto [expr, size] : llvm::zip_equal(c.maps[2].getResults(), c.sizes)) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (c.maps[0].isFunctionOfDim(dim) && !c.maps[1].isFunctionOfDim(dim))
      rows *= getConstantIntValue(size).value_or(kFewestTileRows);
  }
  return rows >= kFewestTileRows;
}

/// w - wz, of 9 bits, in 16: kernels that multiply channel by channel widen
/// bytes to as many, and their sums of windows are as many as the result.
void IntegerLowering::subtractRightZero() {
  auto type = cast<RankedTensorType>(c.rhs.getType());
  Value empty =
      createEmpty(b, loc, tensor::getMixedSizes(b, loc, c.rhs), b.getI16Type());
  AffineMap whole = b.getMultiDimIdentityMap(type.getRank());
  SmallVector<Value> inputs{c.rhs};
  SmallVector<AffineMap> maps{whole};
  if (!rhsZero.known) {
    SmallVector<AffineExpr> dims;
    for (AffineExpr expr : getZeroDims())
      dims.push_back(b.getAffineDimExpr(*c.maps[1].getResultPosition(expr)));
    inputs.push_back(rhsZero.tensor);
    maps.push_back(AffineMap::get(type.getRank(), 0, dims, b.getContext()));
  }
  maps.push_back(whole);
  SmallVector<utils::IteratorType> loops(type.getRank(),
                                         utils::IteratorType::parallel);
  bool isUnsigned = c.rhsUnsigned;
  c.rhs = linalg::GenericOp::create(
              b, loc, empty.getType(), inputs, empty, maps, loops,
              [&](OpBuilder &b, Location loc, ValueRange args) {
                Value zero = rhsZero.known ? integer(*rhsZero.known)
                                           : widen(args[1], rhsZero.isUnsigned);
                Value x = arith::SubIOp::create(
                    b, loc, widen(args[0], isUnsigned), zero);
                linalg::YieldOp::create(
                    b, loc,
                    Value(arith::TruncIOp::create(b, loc, b.getI16Type(), x)));
              })
              .getResult(0);
  c.rhsUnsigned = false;
  rhsZero = ZeroPoint();
}

/// w xor 0x80 is w - 128 as a signed number.
void IntegerLowering::makeRightSigned() {
  if (!c.rhsUnsigned)
    return;
  auto type = cast<RankedTensorType>(c.rhs.getType());
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, c.rhs);
  Value empty = createEmpty(b, loc, sizes, type.getElementType());
  SmallVector<AffineMap> maps(2, b.getMultiDimIdentityMap(type.getRank()));
  SmallVector<utils::IteratorType> loops(type.getRank(),
                                         utils::IteratorType::parallel);
  c.rhs = linalg::GenericOp::create(
              b, loc, empty.getType(), c.rhs, empty, maps, loops,
              [&](OpBuilder &b, Location loc, ValueRange args) {
                Value top = createScalar(b, loc, b.getI8Type(), -128);
                linalg::YieldOp::create(
                    b, loc, Value(arith::XOrIOp::create(b, loc, args[0], top)));
              })
              .getResult(0);
  c.rhsUnsigned = false;
  rhsZero.add(-128);
}

/// The dimensions of the result that `map` depends on, in their order.
SmallVector<AffineExpr> IntegerLowering::keptBy(AffineMap map) {
  SmallVector<AffineExpr> kept;
  for (AffineExpr expr : c.maps[2].getResults())
    if (map.isFunctionOfDim(cast<AffineDimExpr>(expr).getPosition()))
      kept.push_back(expr);
  return kept;
}

SmallVector<OpFoldResult> IntegerLowering::sizesOf(ArrayRef<AffineExpr> exprs) {
  SmallVector<OpFoldResult> sizes;
  for (AffineExpr expr : exprs)
    sizes.push_back(c.sizes[*c.maps[2].getResultPosition(expr)]);
  return sizes;
}

/// How far dimensions extend that the right operand has.
SmallVector<OpFoldResult>
IntegerLowering::extentsOf(ArrayRef<AffineExpr> exprs) {
  SmallVector<OpFoldResult> extents;
  for (AffineExpr expr : exprs)
    extents.push_back(tensor::getMixedSize(b, loc, c.rhs,
                                           *c.maps[1].getResultPosition(expr)));
  return extents;
}

/// xz * sum (w - wz), for each column and batch of the weights.
std::pair<Value, AffineMap> IntegerLowering::createColumnTerm() {
  MLIRContext *context = b.getContext();
  SmallVector<AffineExpr> kept = keptBy(c.maps[1]);
  AffineMap keptMap = AffineMap::get(dims, 0, kept, context);
  // Loops over the dimensions of the weights alone.
  SmallVector<AffineExpr> renamed(dims, b.getAffineConstantExpr(0));
  SmallVector<utils::IteratorType> loops;
  for (unsigned dim = 0; dim < dims; ++dim)
    if (c.maps[1].isFunctionOfDim(dim)) {
      renamed[dim] = b.getAffineDimExpr(loops.size());
      loops.push_back(isInC(dim) ? utils::IteratorType::parallel
                                 : utils::IteratorType::reduction);
    }
  auto rename = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(dims, 0, exprs, context)
        .replaceDimsAndSymbols(renamed, {}, loops.size(), 0);
  };
  SmallVector<Value> inputs{c.rhs};
  SmallVector<AffineMap> maps{rename(c.maps[1].getResults())};
  if (!rhsZero.known) {
    inputs.push_back(rhsZero.tensor);
    maps.push_back(rename(getZeroDims()));
  }
  maps.push_back(rename(kept));
  SmallVector<OpFoldResult> sizes = sizesOf(kept);
  Value zeros = createFilled(b, loc, sizes, integer(0));
  Value sums =
      linalg::GenericOp::create(
          b, loc, zeros.getType(), inputs, zeros, maps, loops,
          [&](OpBuilder &b, Location loc, ValueRange args) {
            Value x = widen(args[0], false);
            Value zero = integer(rhsZero.known.value_or(rhsZero.shift));
            if (!rhsZero.known)
              zero = arith::AddIOp::create(
                  b, loc, widen(args[1], rhsZero.isUnsigned), zero);
            x = arith::SubIOp::create(b, loc, x, zero);
            linalg::YieldOp::create(
                b, loc, Value(arith::AddIOp::create(b, loc, args.back(), x)));
          })
          .getResult(0);

  inputs = {sums};
  maps = {b.getMultiDimIdentityMap(kept.size())};
  if (!lhsZero.known) {
    inputs.push_back(lhsZero.tensor);
    maps.push_back(AffineMap::get(kept.size(), 0, context));
  }
  maps.push_back(maps[0]);
  Value empty = createEmpty(b, loc, sizes, b.getI32Type());
  loops.assign(kept.size(), utils::IteratorType::parallel);
  Value term =
      linalg::GenericOp::create(
          b, loc, empty.getType(), inputs, empty, maps, loops,
          [&](OpBuilder &b, Location loc, ValueRange args) {
            Value zero = integer(lhsZero.known.value_or(lhsZero.shift));
            if (!lhsZero.known)
              zero = arith::AddIOp::create(
                  b, loc, widen(args[1], lhsZero.isUnsigned), zero);
            linalg::YieldOp::create(
                b, loc, Value(arith::MulIOp::create(b, loc, args[0], zero)));
          })
          .getResult(0);
  return {term, keptMap};
}

/// True if summing over `channels` first does not pay.
bool IntegerLowering::areFew(ArrayRef<AffineExpr> channels) {
  int64_t count = 1;
  for (OpFoldResult extent : extentsOf(channels))
    count *= getConstantIntValue(extent).value_or(kFewChannels + 1);
  return count <= kFewChannels;
}

/// sum x, for each row and batch: products with ones. Of windows over
/// channels, the channels are summed first, so that windows add up one number
/// a place.
std::pair<Value, AffineMap> IntegerLowering::createRowSums() {
  MLIRContext *context = b.getContext();
  ArrayRef<AffineExpr> places = c.maps[0].getResults();
  SmallVector<AffineExpr> kept = keptBy(c.maps[0]), channels, windows;
  for (unsigned dim = 0; dim < dims; ++dim)
    if (AffineExpr expr = b.getAffineDimExpr(dim); !isInC(dim))
      (llvm::is_contained(places, expr) ? channels : windows).push_back(expr);
  std::pair<Value, AffineMap> sums{{}, AffineMap::get(dims, 0, kept, context)};
  if (windows.empty() || areFew(channels)) {
    channels.append(windows);
    sums.first =
        createOnesProduct(places, channels, channels, kept, sizesOf(kept));
    return sums;
  }
  // Each place of the left operand is a dimension of its own for a while.
  SmallVector<AffineExpr> all, summed, extents, left, leftPlaces;
  SmallVector<OpFoldResult> sizes;
  for (auto [i, place] : llvm::enumerate(places)) {
    AffineExpr expr = b.getAffineDimExpr(i);
    all.push_back(expr);
    if (llvm::is_contained(channels, place)) {
      summed.push_back(expr);
      extents.push_back(place);
      continue;
    }
    left.push_back(expr);
    leftPlaces.push_back(place);
    sizes.push_back(tensor::getMixedSize(b, loc, c.lhs, i));
  }
  Value x = createOnesProduct(all, summed, extents, left, sizes);
  sums.first = createWindowSums(x, leftPlaces, windows, kept);
  return sums;
}

/// c.lhs, read at `places`, summed along `summed`, which extend as `extents` of
/// the right operand.
Value IntegerLowering::createOnesProduct(ArrayRef<AffineExpr> places,
                                         ArrayRef<AffineExpr> summed,
                                         ArrayRef<AffineExpr> extents,
                                         ArrayRef<AffineExpr> kept,
                                         ArrayRef<OpFoldResult> sizes) {
  Value ones = createFilled(b, loc, extentsOf(extents),
                            createScalar(b, loc, b.getI8Type(), 1));
  SmallVector<AffineExpr> loops(kept);
  loops.append(summed.begin(), summed.end());
  return createContract(
      ones,
      {renumber(places, loops), renumber(summed, loops), renumber(kept, loops)},
      {}, sizes, [](Block &block) { return block.getArgument(0); });
}

/// x, of i32, read at `places`, summed along `windows`. The innermost loop
/// walks along the result.
Value IntegerLowering::createWindowSums(Value x, ArrayRef<AffineExpr> places,
                                        ArrayRef<AffineExpr> windows,
                                        ArrayRef<AffineExpr> kept) {
  SmallVector<AffineExpr> loops(kept);
  SmallVector<utils::IteratorType> iterators(kept.size(),
                                             utils::IteratorType::parallel);
  auto last = [](auto &list) { return list.end() - (list.empty() ? 0 : 1); };
  loops.insert(last(loops), windows.begin(), windows.end());
  iterators.insert(last(iterators), windows.size(),
                   utils::IteratorType::reduction);
  Value window = createEmpty(b, loc, extentsOf(windows), b.getI8Type());
  Value zeros = createFilled(b, loc, sizesOf(kept), integer(0));
  return linalg::GenericOp::create(
             b, loc, zeros.getType(), ValueRange{x, window}, zeros,
             ArrayRef<AffineMap>{renumber(places, loops),
                                 renumber(windows, loops),
                                 renumber(kept, loops)},
             iterators,
             [](OpBuilder &b, Location loc, ValueRange args) {
               linalg::YieldOp::create(
                   b, loc,
                   Value(arith::AddIOp::create(b, loc, args[2], args[0])));
             })
      .getResult(0);
}

/// A map to `exprs` from loops over the dimensions `loops`, in this order.
AffineMap IntegerLowering::renumber(ArrayRef<AffineExpr> exprs,
                                    ArrayRef<AffineExpr> loops) {
  unsigned count = std::max<unsigned>(dims, c.maps[0].getNumResults());
  SmallVector<AffineExpr> renamed(count, b.getAffineConstantExpr(0));
  for (auto [i, loop] : llvm::enumerate(loops))
    renamed[cast<AffineDimExpr>(loop).getPosition()] = b.getAffineDimExpr(i);
  return AffineMap::get(count, 0, exprs, b.getContext())
      .replaceDimsAndSymbols(renamed, {}, loops.size(), 0);
}

Value IntegerLowering::createContract(Value rhs, ArrayRef<AffineMap> maps,
                                      ValueRange extras,
                                      ArrayRef<OpFoldResult> sizes,
                                      function_ref<Value(Block &)> epilogue) {
  Value empty = createEmpty(b, loc, sizes, b.getI32Type());
  DotAttr dot = flips ? DotAttr::get(b.getContext(), true, 1, 0) : DotAttr();
  auto op =
      ContractOp::create(b, loc, c.lhs, rhs, extras, empty, maps,
                         c.lhsUnsigned != flips, /*bUnsigned=*/false, dot);
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Type> types{b.getI32Type()};
  for (Value extra : extras)
    types.push_back(getElementTypeOrSelf(extra.getType()));
  Block *block = b.createBlock(&op.getEpilogue(), {}, types,
                               SmallVector<Location>(types.size(), loc));
  YieldOp::create(b, loc, epilogue(*block));
  return op.getResult();
}

Value IntegerLowering::lower(ByteKind wanted) {
  lhsZero = ZeroPoint::get(c.lhsZero, c.lhsZeroBytes, c.lhsUnsigned);
  rhsZero = ZeroPoint::get(c.rhsZero, c.rhsZeroBytes, c.rhsUnsigned);
  if (isDepthwise() && !rhsZero.isZero() && hasWindowsOnly())
    subtractRightZero();
  makeRightSigned();
  if (wanted == ByteKind::UnsignedOrTiles)
    wanted = hasTiles() ? ByteKind::Any : ByteKind::Unsigned;
  flips = wanted != ByteKind::Any && !isDepthwise() &&
          c.lhsUnsigned != (wanted == ByteKind::Unsigned);
  if (flips)
    lhsZero.add(c.lhsUnsigned ? -128 : 128);

  SmallVector<Value> extras;
  SmallVector<AffineMap> maps{c.maps[0], c.maps[1]};
  auto append = [&](std::pair<Value, AffineMap> extra) {
    extras.push_back(extra.first);
    maps.push_back(extra.second);
  };
  if (!lhsZero.isZero())
    append(createColumnTerm());
  size_t rowSums = extras.size();
  if (!rhsZero.isZero())
    append(createRowSums());
  size_t rightZero = extras.size();
  if (!rhsZero.known)
    append({rhsZero.tensor,
            AffineMap::get(dims, 0, getZeroDims(), b.getContext())});
  maps.push_back(c.maps[2]);
  return createContract(c.rhs, maps, extras, c.sizes, [&](Block &block) {
    Value sum = block.getArgument(0);
    if (!lhsZero.isZero())
      sum = arith::SubIOp::create(b, loc, sum, block.getArgument(1));
    if (rhsZero.isZero())
      return sum;
    Value zero = integer(rhsZero.known.value_or(rhsZero.shift));
    if (!rhsZero.known)
      zero = arith::AddIOp::create(
          b, loc, widen(block.getArgument(1 + rightZero), rhsZero.isUnsigned),
          zero);
    Value product =
        arith::MulIOp::create(b, loc, block.getArgument(1 + rowSums), zero);
    return Value(arith::SubIOp::create(b, loc, sum, product));
  });
}

Value dlc::createIntegerContraction(OpBuilder &builder, Location loc,
                                    IntegerContraction contraction,
                                    ByteKind wanted) {
  return IntegerLowering(builder, loc, contraction).lower(wanted);
}

std::optional<ByteKind> dlc::parseByteKind(Operation *op, StringRef pass,
                                           StringRef bytes) {
  auto kind = llvm::StringSwitch<std::optional<ByteKind>>(bytes)
                  .Case("any", ByteKind::Any)
                  .Case("unsigned", ByteKind::Unsigned)
                  .Case("signed", ByteKind::Signed)
                  .Case("unsigned-or-tiles", ByteKind::UnsignedOrTiles)
                  .Default(std::nullopt);
  if (!kind)
    op->emitError() << pass
                    << ": expected bytes=any, unsigned, signed or "
                       "unsigned-or-tiles, found '"
                    << bytes << "'";
  return kind;
}
