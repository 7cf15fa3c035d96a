// Replaces global constants by offsets into the object's weights.

#include "dialects/Dlc/Dlc.h"
#include "passes/Buffer/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_PLACEWEIGHTS
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

/// Bytes of one element in memory; i1 takes one, like any other small type.
static int64_t bytesOf(ShapedType type) {
  unsigned bits = 8;
  Type element = type.getElementType();
  if (auto complex = dyn_cast<ComplexType>(element))
    bits = 2 * complex.getElementType().getIntOrFloatBitWidth();
  else if (element.isIntOrFloat())
    bits = element.getIntOrFloatBitWidth();
  else if (isa<IndexType>(element))
    bits = 64;
  return type.getNumElements() * llvm::divideCeil(bits, 8);
}

namespace {

struct PlaceWeightsPass : dlc::impl::PlaceWeightsBase<PlaceWeightsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    Builder b(&getContext());
    // The same attribute is the same constant.
    llvm::MapVector<Attribute, int64_t> places;
    SmallVector<Attribute> listed;
    int64_t size = 0;
    SymbolTable symbols(module);
    module.walk([&](memref::GetGlobalOp op) {
      auto global = symbols.lookup<memref::GlobalOp>(op.getName());
      Attribute value = *global.getInitialValue();
      auto [place, isNew] = places.insert({value, 0});
      if (isNew) {
        place->second = llvm::alignTo(size, 64);
        size = place->second + bytesOf(global.getType());
        listed.push_back(
            b.getArrayAttr({b.getI64IntegerAttr(place->second), value}));
      }
      OpBuilder builder(op);
      op.replaceAllUsesWith(WeightOp::create(builder, op.getLoc(), op.getType(),
                                             place->second)
                                .getResult());
      op.erase();
    });
    for (auto global : llvm::make_early_inc_range(module.getOps<memref::GlobalOp>()))
      global.erase();
    module->setAttr("dlc.weights", b.getArrayAttr(listed));
    module->setAttr("dlc.weights_size", b.getI64IntegerAttr(size));
  }
};

} // namespace
