// Replaces global constants by offsets into the object's weights.

#include "dialects/Dlc/Dlc.h"
#include "lib/Codegen/ElementBytes.h"
#include "lib/Codegen/WeightTable.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Buffer/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/xxhash.h"
#include <deque>
#include <map>

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
    addEarlier(listed, table);
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
        std::optional<int64_t> found = findEarlier(data);
        if (found) {
          place->second = *found;
        } else {
          place->second =
              storage.empty() ? table.add(data) : table.add(std::move(storage));
          listed.push_back(value);
        }
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

  /// The weights of the same model for another CPU, which the list has before
  /// the pass: they stay, and what is equal to one of them needs no place.
  void addEarlier(SmallVectorImpl<Attribute> &listed, WeightTable &table) {
    earlier.clear();
    copies.clear();
    auto list = getOperation()->getAttrOfType<ArrayAttr>("dlc.weights");
    if (!list)
      return;
    for (Attribute value : list) {
      std::vector<char> storage;
      ArrayRef<char> data = getElementData(cast<ElementsAttr>(value), storage);
      if (!storage.empty()) {
        copies.push_back(std::move(storage));
        data = copies.back();
      }
      listed.push_back(value);
      earlier[llvm::xxh3_64bits(toBytes(data))].push_back(
          {data, table.add(data)});
    }
  }

  std::optional<int64_t> findEarlier(ArrayRef<char> data) {
    if (earlier.empty())
      return std::nullopt;
    auto found = earlier.find(llvm::xxh3_64bits(toBytes(data)));
    if (found != earlier.end())
      for (auto [bytes, place] : found->second)
        if (bytes == data)
          return place;
    return std::nullopt;
  }

  static ArrayRef<uint8_t> toBytes(ArrayRef<char> data) {
    return {reinterpret_cast<const uint8_t *>(data.data()), data.size()};
  }

  /// By their hash.
  std::map<uint64_t, SmallVector<std::pair<ArrayRef<char>, int64_t>, 1>>
      earlier;
  std::deque<std::vector<char>> copies; ///< what `earlier` refers to
};

} // namespace
