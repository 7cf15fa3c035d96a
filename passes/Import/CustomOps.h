/// \file
/// Operators of one's own without C++: functions in MLIR, of --custom-ops.
#ifndef DLC_PASSES_IMPORT_CUSTOMOPS_H
#define DLC_PASSES_IMPORT_CUSTOMOPS_H

#include "dlc/Api.h"
#include "mlir/IR/MLIRContext.h"

namespace dlc {

/// Reads the functions in the file `path`, each of which lowers the operator
/// that its name, "domain::Name", or its attribute `dlc.op` says, and gives
/// the context a row for every operator. Of several functions for one operator
/// the first one that takes the inputs and attributes of a node is used.
///
///     func.func @"com.acme::Scale"(%x: tensor<?x?xf32>,
///         %alpha: f32 {dlc.attribute = "alpha", dlc.default = 1.0 : f32})
///         -> tensor<?x?xf32> { ... }
mlir::LogicalResult addCustomOps(mlir::MLIRContext &context,
                                 llvm::StringRef path);

} // namespace dlc

#endif
