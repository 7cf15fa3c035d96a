// Weights that are subnormal numbers become zeros: a CPU takes a hundred times
// as long for products with them.

#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "lib/Compiler/Evaluate.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "passes/Remarks.h"
#include "passes/Tensor/Passes.h"

namespace dlc {
#define GEN_PASS_DEF_FLUSHSUBNORMALS
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

namespace {
/// Elements of a float type as whole numbers: those of absolute values are in
/// the order of these.
template <typename T> struct Format {
  T signMask;    // all bits but the sign
  T leastNormal; // all below it are subnormal
  /// Beside a number of this size, half a unit in the last place is larger
  /// than a subnormal number, even of a narrow type that is summed in f32.
  T large;

  Format(int64_t mantissaBits, int64_t summedBits)
      : signMask(T(~T(0)) >> 1), leastNormal(T(1) << mantissaBits),
        large(T(summedBits + 4) << mantissaBits) {}
  bool isSubnormal(T bits) const {
    T size = bits & signMask;
    return size != 0 && size < leastNormal;
  }
};
} // namespace

/// The number of subnormal numbers in `data`; 0 if there is no large one.
template <typename T>
static int64_t countSubnormal(ArrayRef<char> data, Format<T> format) {
  ArrayRef<T> values(reinterpret_cast<const T *>(data.data()),
                     data.size() / sizeof(T));
  int64_t count = 0;
  T largest = 0;
  for (T value : values) {
    count += format.isSubnormal(value);
    largest = std::max<T>(largest, value & format.signMask);
  }
  return largest >= format.large ? count : 0;
}

/// A copy of `value` without subnormal numbers, and how many these were; null
/// if there are none.
template <typename T>
static std::pair<TypedAttr, int64_t> flush(ElementsAttr value,
                                           Format<T> format) {
  std::vector<char> storage;
  ArrayRef<char> data = getElementData(value, storage);
  int64_t count = countSubnormal(data, format);
  if (!count)
    return {};
  AsmResourceBlob blob = HeapAsmResourceBlob::allocate(data.size(), 64);
  llvm::transform(
      ArrayRef<T>(reinterpret_cast<const T *>(data.data()),
                  data.size() / sizeof(T)),
      reinterpret_cast<T *>(const_cast<char *>(blob.getData().data())),
      [&](T bits) {
        return format.isSubnormal(bits) ? T(bits & ~format.signMask) : bits;
      });
  return {
      makeConstant(cast<RankedTensorType>(value.getType()), std::move(blob)),
      count};
}

/// Of a type whose subnormal numbers are such for the CPU as well.
static std::pair<TypedAttr, int64_t> flush(ElementsAttr value) {
  Type type = value.getElementType();
  if (type.isF32())
    return flush(value, Format<uint32_t>(23, 24));
  if (type.isF64())
    return flush(value, Format<uint64_t>(52, 53));
  if (type.isBF16())
    return flush(value, Format<uint16_t>(7, 24));
  return {};
}

namespace {
struct FlushSubnormals : dlc::impl::FlushSubnormalsBase<FlushSubnormals> {
  void runOnOperation() override {
    SmallVector<OpOperand *> weights;
    getOperation()->walk([&](Operation *op) {
      if (auto contract = dyn_cast<ContractOp>(op)) {
        weights.push_back(&contract.getAMutable());
        weights.push_back(&contract.getBMutable());
      } else if (auto winograd = dyn_cast<WinogradWeightsOp>(op)) {
        weights.push_back(&winograd.getWeightsMutable());
      }
    });
    // By constant; null for those without subnormal numbers.
    DenseMap<Operation *, Value> flushed;
    for (OpOperand *operand : weights) {
      auto constant = operand->get().getDefiningOp<arith::ConstantOp>();
      auto value = constant ? dyn_cast<ElementsAttr>(constant.getValue())
                            : ElementsAttr();
      if (!value)
        continue;
      auto [found, isNew] = flushed.try_emplace(constant);
      if (isNew) {
        auto [zeros, count] = flush(value);
        if (zeros) {
          OpBuilder b(constant);
          found->second =
              arith::ConstantOp::create(b, constant.getLoc(), zeros);
          remarkDone(operand->getOwner()->getLoc(), "dlc-flush-subnormals")
              << remark::add("subnormal weights that become zeros: {0}", count);
        }
      }
      if (found->second)
        operand->set(found->second);
    }
    for (auto [constant, value] : flushed)
      if (value && constant->use_empty())
        constant->erase();
  }
};
} // namespace
