// Replaces global constants by offsets into the object's weights.

#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "lib/Codegen/WeightTable.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Buffer/Passes.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace dlc {
#define GEN_PASS_DEF_PLACEWEIGHTS
#include "passes/Buffer/Passes.h.inc"
} // namespace dlc

using namespace dlc;

namespace {

struct PlaceWeightsPass : dlc::impl::PlaceWeightsBase<PlaceWeightsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    Builder b(&getContext());
    // The same attribute is the same constant.
    llvm::MapVector<Attribute, int64_t> places;
    SmallVector<Attribute> listed;
    WeightTable table;
    SymbolTable symbols(module);
    module.walk([&](memref::GetGlobalOp op) {
      // What has no element is nowhere; a table of nothing would be no symbol.
      if (op.getType().getNumElements() == 0) {
        OpBuilder builder(op);
        op.replaceAllUsesWith(
            memref::AllocaOp::create(builder, op.getLoc(), op.getType())
                .getResult());
        op.erase();
        return;
      }
      auto global = symbols.lookup<memref::GlobalOp>(op.getName());
      Attribute value = *global.getInitialValue();
      auto [place, isNew] = places.insert({value, 0});
      if (isNew) {
        std::vector<char> storage;
        ArrayRef<char> data =
            getElementData(cast<ElementsAttr>(value), storage);
        place->second =
            storage.empty() ? table.add(data) : table.add(std::move(storage));
        listed.push_back(value);
      }
      OpBuilder builder(op);
      op.replaceAllUsesWith(
          WeightOp::create(builder, op.getLoc(), op.getType(), place->second)
              .getResult());
      op.erase();
    });
    for (auto global :
         llvm::make_early_inc_range(module.getOps<memref::GlobalOp>()))
      global.erase();
    module->setAttr("dlc.weights", b.getArrayAttr(listed));
    module->setAttr("dlc.weights_size", b.getI64IntegerAttr(table.size()));
  }
};

} // namespace
