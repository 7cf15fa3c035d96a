/// \file
/// Raises a model for the import, on the protobuf message.
#include "lib/OnnxReader/Model.h"

using namespace mlir;
using namespace dlc::reader;

LogicalResult dlc::reader::raiseModel(Model &model, const ReadOptions &options) {
  return success();
}
LogicalResult dlc::reader::applyShapes(Model &model, const ReadOptions &options) { return success(); }
