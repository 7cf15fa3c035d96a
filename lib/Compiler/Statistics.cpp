// Counts what a model costs, in whatever dialect it is.

#include "lib/Compiler/Statistics.h"
#include "dialects/Dlc/Dlc.h"
#include "dialects/Onnx/Onnx.h"
#include "lib/Compiler/ModelInfo.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace dlc;

static constexpr int64_t kUnknown = -1;

static int64_t times(int64_t x, int64_t y) {
  int64_t product;
  if (x < 0 || y < 0 || llvm::MulOverflow(x, y, product))
    return kUnknown;
  return product;
}

/// The product of sizes; unknown once one is.
static int64_t product(ArrayRef<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result = times(result, ShapedType::isDynamic(size) ? kUnknown : size);
  return result;
}

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<ShapedType>(value.getType()).getShape();
}

/// The bytes of a tensor of numbers.
static int64_t bytesOf(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return kUnknown;
  Type element = tensor.getElementType();
  int64_t bits = 0;
  if (auto complex = dyn_cast<ComplexType>(element))
    bits = 2 * complex.getElementType().getIntOrFloatBitWidth();
  else if (element.isIntOrFloat())
    bits = element.getIntOrFloatBitWidth();
  int64_t elements = product(tensor.getShape());
  return elements < 0 ? kUnknown : llvm::divideCeil(times(elements, bits), 8);
}

/// The sizes of all loops of a contraction, found where an operand has one for
/// itself.
static int64_t countContract(ContractOp op) {
  SmallVector<int64_t> sizes(op.getCMap().getNumDims(), ShapedType::kDynamic);
  for (auto [map, value] : {std::pair(op.getAMap(), op.getA()),
                            {op.getBMap(), op.getB()},
                            {op.getCMap(), op.getInit()}})
    for (auto [expr, size] : llvm::zip(map.getResults(), shapeOf(value)))
      if (auto loop = dyn_cast<AffineDimExpr>(expr))
        sizes[loop.getPosition()] = size;
  int64_t macs = product(sizes);
  // There the weights' window is the tile's products, for as many outputs.
  if (std::optional<WinogradAttr> form = op.getWinograd(); form && macs > 0)
    macs /= form->getHeight() * form->getWidth();
  return macs;
}

/// Of both products, over all dimensions but columns and all but depth.
static int64_t countAttention(AttentionOp op) {
  using DimKind = AttentionOp::DimKind;
  int64_t macs = 0;
  // Those of parts of the keys aren't the products'.
  SmallVector<unsigned> own = op.getDims(DimKind::Column);
  own.erase(own.begin());
  for (auto without : {DimKind::Column, DimKind::Depth}) {
    SmallVector<int64_t> sizes;
    for (unsigned dim = 0, e = op.getNumDims(); dim < e; ++dim)
      if (op.getDimKind(dim) != without && !llvm::is_contained(own, dim))
        sizes.push_back(op.getStaticExtent(dim));
    int64_t product = ::product(sizes);
    if (product < 0)
      return kUnknown;
    macs += product;
  }
  return macs;
}

/// The multiply-accumulates of an op: -1 where they are not known, nothing for
/// what is no contraction.
static std::optional<int64_t> countMacsOf(Operation *op) {
  if (auto node = dyn_cast<onnx::NodeOp>(op))
    return countMacs(node);
  if (auto conv = dyn_cast<ConvOp>(op))
    return times(product(shapeOf(conv.getResult())),
                 product(shapeOf(conv.getWeights()).drop_back()));
  if (auto matmul = dyn_cast<MatMulOp>(op))
    return times(product(shapeOf(matmul.getResult())),
                 product(shapeOf(matmul.getLhs()).take_back()));
  if (auto contract = dyn_cast<ContractOp>(op))
    return countContract(contract);
  if (auto attention = dyn_cast<AttentionOp>(op))
    return countAttention(attention);
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || !linalgOp.getNumReductionLoops())
    return std::nullopt;
  bool multiplies = llvm::any_of(*linalgOp.getBlock(), [](Operation &inner) {
    return isa<arith::MulFOp, arith::MulIOp>(inner);
  });
  if (!multiplies)
    return std::nullopt;
  return product(linalgOp.getStaticLoopRanges());
}

/// Whether an op is work on tensors, and not a constant or a size.
static bool isNode(Operation *op) {
  if (auto node = dyn_cast<onnx::NodeOp>(op))
    return !node.isOp("Constant");
  if (op->hasTrait<OpTrait::ConstantLike>() ||
      op->hasTrait<OpTrait::IsTerminator>() ||
      isa<onnx::InitializerOp, ExpandedOp, tensor::EmptyOp, tensor::CastOp,
          tensor::FromElementsOp, linalg::FillOp>(op))
    return false;
  return llvm::any_of(op->getResultTypes(), llvm::IsaPred<TensorType>);
}

/// Whether an op fills a slab of a border, a small part of a tensor.
static bool isBorder(Operation *op) {
  return isa<linalg::FillOp>(op) &&
         llvm::all_of(op->getUsers(), llvm::IsaPred<tensor::InsertSliceOp>);
}

/// Whether a tensor that only `insert` reads is computed in its place there, as
/// dlc-place-parts has it.
static bool isPlaced(tensor::InsertSliceOp insert) {
  Value source = insert.getSource();
  if (Operation *op = source.getDefiningOp(); op && isBorder(op))
    return true;
  while (source.hasOneUse() &&
         isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(
             source.getDefiningOp()))
    source = source.getDefiningOp()->getOperand(0);
  return source.hasOneUse() &&
         source.getDefiningOp<DestinationStyleOpInterface>();
}

/// Whether the result of an op is the memory of an operand.
static bool isView(Operation *op) {
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
    return isPlaced(insert);
  if (auto node = dyn_cast<onnx::NodeOp>(op))
    return node.isOp("Reshape") || node.isOp("Flatten") ||
           node.isOp("Squeeze") || node.isOp("Unsqueeze") ||
           node.isOp("Identity") || node.isOp("Shape") || node.isOp("Size");
  return isa<ReshapeOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp,
             tensor::ReshapeOp, tensor::ExtractSliceOp>(op);
}

/// The value of a constant; null for anything else.
static Attribute constantOf(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return {};
  if (auto initializer = dyn_cast<onnx::InitializerOp>(op))
    return initializer.getValue();
  if (auto node = dyn_cast<onnx::NodeOp>(op))
    return node.isOp("Constant") ? node->getAttr("onnx_attributes")
                                 : Attribute();
  Attribute attribute;
  return matchPattern(op, m_Constant(&attribute)) ? attribute : Attribute();
}

Statistics dlc::countStatistics(ModuleOp module) {
  Statistics result;
  DenseSet<Attribute> weights;
  auto add = [&](int64_t &sum, int64_t amount) {
    if (amount < 0)
      result.isDynamic = true;
    else
      sum += amount;
  };
  module.walk([&](Operation *op) {
    if (!isNode(op))
      return;
    // What @init does is done once, and not in a run.
    auto function = op->getParentOfType<func::FuncOp>();
    bool isRun = !function || function.getName() != "init";
    auto addWeight = [&](Value value) {
      Attribute constant = constantOf(value);
      if (constant && weights.insert(constant).second)
        add(result.weightBytes, bytesOf(value.getType()));
      return bool(constant) || value.getDefiningOp<ExpandedOp>();
    };
    if (!isRun) {
      llvm::for_each(op->getOperands(), addWeight);
      return;
    }
    ++result.nodes;
    if (std::optional<int64_t> macs = countMacsOf(op))
      add(result.macs, *macs);
    auto touch = [&](Value value) {
      if (!isa<TensorType>(value.getType()) || isView(op))
        return;
      result.memoryPasses += !isBorder(op);
      add(result.movedBytes, bytesOf(value.getType()));
    };
    for (OpOperand &operand : op->getOpOperands()) {
      if (addWeight(operand.get()))
        continue;
      // A destination is written, and that is counted with the result.
      auto destination = dyn_cast<DestinationStyleOpInterface>(op);
      if (!destination || !destination.isDpsInit(&operand))
        touch(operand.get());
    }
    for (Value value : op->getResults())
      if (!value.use_empty())
        touch(value);
  });
  return result;
}

WorkingMemory dlc::getWorkingMemory(ModuleOp module) {
  WorkingMemory memory;
  if (auto arena = module->getAttrOfType<IntegerAttr>("dlc.workspace"))
    memory.arena = arena.getInt();
  auto bounds = module->getAttrOfType<DenseI64ArrayAttr>("dlc.live_bytes");
  if (bounds && bounds.size() == 4) {
    memory.live = bounds[0];
    memory.places = bounds[1];
    memory.borders = bounds[2];
    memory.scratch = bounds[3];
  }
  return memory;
}

void dlc::printMemory(raw_ostream &os, const WorkingMemory &memory) {
  os << llvm::formatv("working memory of {0:N0} bytes; at a time live {1:N0} "
                      "of tensors, {2:N0} with sums in their residuals' "
                      "places, {3:N0} with borders, {4:N0} with scratch\n",
                      memory.arena, memory.live, memory.places, memory.borders,
                      memory.scratch);
}

void dlc::printReport(raw_ostream &os,
                      ArrayRef<std::pair<StringRef, Statistics>> columns) {
  struct Row {
    StringRef name;
    int64_t Statistics::*member;
  };
  static constexpr Row rows[] = {
      {"operations", &Statistics::nodes},
      {"multiply-adds", &Statistics::macs},
      {"bytes of weights", &Statistics::weightBytes},
      {"bytes read and written", &Statistics::movedBytes},
      {"passes over memory", &Statistics::memoryPasses},
  };
  constexpr unsigned nameWidth = 22, width = 16;
  bool isDynamic = false;
  os << llvm::left_justify("behind the phase", nameWidth);
  for (const auto &[phase, statistics] : columns) {
    os << llvm::right_justify(phase, width);
    isDynamic |= statistics.isDynamic;
  }
  os << "\n";
  for (const Row &row : rows) {
    os << llvm::left_justify(row.name, nameWidth);
    for (const auto &column : columns)
      os << llvm::right_justify(
          llvm::formatv("{0:N0}", column.second.*row.member).str(), width);
    os << "\n";
  }
  if (isDynamic)
    os << "what depends on dynamic sizes is left out; --shape and --dim give "
          "sizes\n";
}
