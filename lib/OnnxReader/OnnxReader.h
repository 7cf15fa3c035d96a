/// \file
/// Reads ONNX models into the onnx dialect: as they are, or raised to the
/// newest operator set and with types inferred, as the import wants them.
#ifndef DLC_LIB_ONNXREADER_ONNXREADER_H
#define DLC_LIB_ONNXREADER_ONNXREADER_H

#include "include/dlc/Api.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"

#include <string>
#include <vector>

namespace dlc {

/// The attribute of a module with the bounds of its named dimensions:
/// `{seq = array<i64: 1, 512>}`.
inline constexpr llvm::StringLiteral kDimBoundsAttr = "onnx.dim_bounds";

/// How a model is read.
struct ReadOptions {
  /// Shapes of graph inputs, as `--shape=name:1x3x?x?` gives them; -1 is
  /// dynamic.
  llvm::StringMap<llvm::SmallVector<int64_t>> shapes;
  /// Values of named dimensions, as `--dim=batch=1` gives them.
  llvm::StringMap<int64_t> dims;
  /// Bounds of named dimensions, as `--dim=seq=1..512` gives them.
  llvm::StringMap<std::pair<int64_t, int64_t>> dimBounds;
  /// Raise for the import: check with ONNX's checker, inline model-local
  /// functions, convert to the newest operator set, expand function bodies of
  /// operators that `hasRow` rejects, infer types. Otherwise the file as it is.
  bool raise = false;
  /// With `raise`: model-local functions stay where this operator set reads
  /// them as theirs; 0: they are inlined.
  int64_t keptOpset = 0;
  /// Without `raise`: infer the types of inner values where that is possible.
  bool inferTypes = false;
  /// Whether the import lowers that operator itself. The domain of ONNX's own
  /// operators is "". Without it no operator is expanded.
  llvm::function_ref<bool(llvm::StringRef domain, llvm::StringRef op)> hasRow;
};

/// Reads the model in file `path`. Errors go to the context's diagnostics, and
/// the result is null.
///
/// The result is one `onnx.graph @main`, `onnx.function`s (none when raised),
/// and these attributes of the module: `onnx.ir_version`, `onnx.opset_imports`
/// ({ai.onnx = 28 : i64}), `onnx.producer_name`, `onnx.producer_version`,
/// `onnx.domain`, `onnx.model_version`, `onnx.doc_string`, `onnx.metadata`,
/// `onnx.training_info` (the number of entries); and when raised
/// `onnx.original_opset` and `onnx.original_ir_version`, and `onnx.raise_notes` (strings) where a part could
/// not be raised, e.g. since ONNX has no adapter for an operator.
///
/// Weights are resources that share the mapped file; they live as long as the
/// context, so the file must not change meanwhile.
DLC_API mlir::OwningOpRef<mlir::ModuleOp>
readOnnx(llvm::StringRef path, mlir::MLIRContext &context,
         const ReadOptions &options = {});

/// The same from memory. `name` stands for the file in locations, `directory`
/// is where external data lies. The buffer is kept as long as the context.
DLC_API mlir::OwningOpRef<mlir::ModuleOp>
readOnnx(std::unique_ptr<llvm::MemoryBuffer> buffer, llvm::StringRef name,
         llvm::StringRef directory, mlir::MLIRContext &context,
         const ReadOptions &options = {});

/// What ONNX knows of one operator.
struct OpSchemaInfo {
  std::string domain; ///< "" is ai.onnx
  std::string name;
  std::vector<int> sinceVersions; ///< ascending
  bool deprecated = false;        ///< in its newest version
  bool hasFunction = false;       ///< its newest version has a function body
};

/// Every operator that ONNX knows, by domain and name.
DLC_API std::vector<OpSchemaInfo> listOpSchemas();

/// The version of the schema of `op` that operator set `opset` of the domain
/// holds, 0 when there is none.
DLC_API int getSinceVersion(llvm::StringRef domain, llvm::StringRef op,
                            int opset);

/// ONNX's name for input `i` of `op`, "" where it knows none.
DLC_API std::string getFormalInput(llvm::StringRef domain, llvm::StringRef op,
                                   int opset, unsigned i);

/// The newest operator set of the domain that ONNX knows, 0 when unknown.
DLC_API int getNewestOpset(llvm::StringRef domain);

} // namespace dlc

#endif
