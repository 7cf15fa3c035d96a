/// \file
/// Writes the onnx dialect as an ONNX file.
#ifndef DLC_LIB_ONNXWRITER_ONNXWRITER_H
#define DLC_LIB_ONNXWRITER_ONNXWRITER_H

#include "dlc/Api.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringRef.h"

namespace dlc {

/// How a model is written.
struct WriteOptions {
  /// The version of ONNX's own operators in the file; 0: what the module
  /// imports.
  int64_t opset = 0;
  /// Whether tensors go to a file of their own, `path` + ".data", though the
  /// model is not too large for one file.
  bool externalData = false;
};

/// Writes a module that holds an `onnx.graph @main` to the file `path`; "-" is
/// the standard output. Files appear complete or not at all. Errors go to the
/// module's location: operators that the operator set cannot express are named
/// all at once.
///
/// The file has the lowest IR version that knows what is in it. Names of values
/// are those of the module, with a number behind those that stand there twice;
/// so are those of nodes, if an operator set is asked for.
DLC_API mlir::LogicalResult writeOnnx(mlir::ModuleOp module,
                                      llvm::StringRef path,
                                      const WriteOptions &options = {});

/// Gives the results of nodes types that know more, as ONNX infers them.
DLC_API mlir::LogicalResult inferTypes(mlir::ModuleOp module);

} // namespace dlc

#endif
