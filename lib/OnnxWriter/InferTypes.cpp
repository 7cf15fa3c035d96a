/// \file
/// Types of values, by ONNX's inference, once passes know more of shapes.
#include "lib/OnnxReader/Model.h"
#include "lib/OnnxWriter/Writer.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace dlc::writer;

/// The type of `value` with what `found` knows beyond it.
static Type refine(Type type, Type found) {
  if (isa<ir::UnknownType>(type))
    return found;
  auto old = dyn_cast<ShapedType>(type), fresh = dyn_cast<ShapedType>(found);
  if (!old || !fresh || !fresh.hasRank() ||
      (old.getElementType() != fresh.getElementType() &&
       !isa<ir::UnknownType>(old.getElementType())))
    return type;
  if (!old.hasRank())
    return found;
  if (old.getRank() != fresh.getRank())
    return type;
  SmallVector<int64_t> shape(old.getShape());
  for (auto [size, known] : llvm::zip(shape, fresh.getShape()))
    if (ShapedType::isDynamic(size))
      size = known;
  return RankedTensorType::get(shape, fresh.getElementType());
}

LogicalResult dlc::inferTypes(ModuleOp module) {
  auto graph = module.lookupSymbol<ir::GraphOp>("main");
  if (!graph)
    return success();
  // Large tensors are not looked at.
  llvm::raw_null_ostream nowhere;
  DataFile data{&nowhere, "nowhere", 0};
  llvm::StringMap<pb::TypeProto> types;
  try {
    pb::ModelProto model = writeModel(module, data);
    model.set_ir_version(findIrVersion(model));
    (void)reader::inferShapes(model, /*strict=*/false, /*propagate=*/true);
    reader::collectTypes(model.graph(), types);
  } catch (const std::exception &) {
    // What contradicts itself is told where it is compiled.
    return success();
  }
  Names names(graph);
  graph.walk([&](ir::NodeOp node) {
    if (node.getNumRegions())
      return;
    for (Value result : node.getResults()) {
      auto it = types.find(names.get(result));
      if (isa<NoneType>(result.getType()) || it == types.end())
        continue;
      FailureOr<Type> found = reader::convertType(
          module.getContext(), it->second, /*inferred=*/true);
      if (succeeded(found))
        result.setType(refine(result.getType(), *found));
    }
  });
  return success();
}
