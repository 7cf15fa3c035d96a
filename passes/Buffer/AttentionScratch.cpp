// Where the scratch memory of attention on a CPU has what.
#include "passes/Buffer/AttentionScratch.h"
#include "dialects/Dlc/MatrixTilesAttr.h"
#include "dialects/Dlc/PartsAttr.h"
#include "lib/Codegen/ElementBytes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

using DimKind = AttentionOp::DimKind;

/// Divides the rows: as many of the innermost dimensions as fit a tile, then
/// part of one, of `most` rows together.
static void divideRows(AttentionOp op, int64_t most, AttentionScratch &s) {
  SmallVector<unsigned> dims = op.getDims(DimKind::Row);
  while (!dims.empty()) {
    unsigned dim = dims.pop_back_val();
    int64_t extent = op.getStaticExtent(dim);
    bool fits = !ShapedType::isDynamic(extent) && s.innerRows * extent <= most;
    if (fits && !dims.empty()) {
      s.inner.insert(s.inner.begin(), dim);
      s.innerRows *= extent;
      continue;
    }
    s.split = dim;
    s.splitRows =
        std::max<int64_t>(1, most / std::max<int64_t>(1, s.innerRows));
    if (!ShapedType::isDynamic(extent))
      s.splitRows =
          std::clamp<int64_t>(s.splitRows, 1, std::max<int64_t>(1, extent));
    break;
  }
  s.outer = dims;
}

AttentionScratch::AttentionScratch(AttentionOp op) {
  ArrayRef<int64_t> tile = *op.getTile();
  type = op.getScores().front().getArgument(0).getType();
  divideRows(op, tile[0], *this);
  tileKeys = tile[1];
  pairs = op.getPrecision() == Precision::BF16 && rows() >= kFewRows;
  matrices = pairs && hasMatrixTiles(op);
  byRows = pairs || rows() < kFewRows;
  paddedRows = matrices ? llvm::alignTo(rows(), kBlockRows)
               : byRows ? rows()
                        : llvm::alignTo(rows(), kPad);
  paddedKeys = pairs    ? llvm::alignTo(tileKeys, kPairKeys)
               : byRows ? llvm::alignTo(tileKeys, kPad)
                        : tileKeys;
  int64_t keys = op.getStaticExtent(op.getDim(DimKind::Key));
  hasTiles = ShapedType::isDynamic(keys) || keys > tileKeys || getParts(op);
  int64_t depth = op.getStaticExtent(op.getDim(DimKind::Depth));
  int64_t columns = op.getStaticExtent(op.getDim(DimKind::Column));

  int64_t scoreRows = matrices ? kBlockRows : paddedRows;
  paddedDepth = matrices ? llvm::alignTo(depth, kPairKeys) : depth;
  paddedColumns = llvm::alignTo(columns, matrices ? kPairKeys : kPanel);

  size = 0;
  auto place = [&](int64_t elements, Type element) {
    int64_t offset = size;
    size += llvm::alignTo(elements * getElementBytes(element), kAlignment);
    return offset;
  };
  Type element = getElementTypeOrSelf(op.getQ());
  queries = byRows && !pairs ? -1 : place(paddedDepth * paddedRows, element);
  scores = place(paddedKeys * scoreRows, type);
  bool copiesKeys = !byRows && getElementTypeOrSelf(op.getK()) != type;
  keysCopy = copiesKeys ? place(tileKeys * depth, type) : -1;
  for (auto [i, extra] : llvm::enumerate(op.getScoreExtras())) {
    AffineMap map = op.getScoreExtraMap(i);
    bool hasRows = llvm::any_of(op.getDims(DimKind::Row), [&](unsigned dim) {
      return map.isFunctionOfDim(dim);
    });
    bool hasKeys = map.isFunctionOfDim(op.getDim(DimKind::Key));
    extras.push_back(!byRows && hasRows
                         ? place(paddedRows * (hasKeys ? tileKeys : 1),
                                 getElementTypeOrSelf(extra))
                         : -1);
  }
  if (pairs) {
    keyPairs =
        place(llvm::alignTo(tileKeys, kPanel) * llvm::alignTo(paddedDepth, 2),
              element);
    weights = place(paddedKeys * scoreRows, element);
    valuePairs = place(paddedKeys * paddedColumns, element);
  }
  if (matrices) {
    shapes = place(kAlignment, IntegerType::get(op.getContext(), 8));
    products = place(kBlockRows * paddedColumns, type);
  }
  int64_t padded = llvm::alignTo(paddedRows, kPad);
  most = place(padded, type);
  sum = place(padded, type);
  factor = place(padded, type);
  inverse = place(padded, type);
  results = hasTiles ? place(paddedRows * columns, type) : -1;
}
