/// \file
/// The interface of a compiled model as its module's attributes tell it, with
/// the C names that the header and the descriptor share.
#ifndef DLC_LIB_CODEGEN_INTERFACE_H
#define DLC_LIB_CODEGEN_INTERFACE_H

#include "dlc/Api.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace dlc {

/// One input or output. Sequences and optionals have no dimensions.
struct TensorInterface {
  std::string name;                  ///< in the ONNX model
  std::string cName;                 ///< in the generated struct
  int32_t dtype = 0;                 ///< enum dlc_dtype, with what it is of
  std::vector<int64_t> dims;         ///< -1: dynamic
  std::vector<std::string> dimNames; ///< "" where there is none
  std::vector<int64_t> dimMin;       ///< -1: no bound
  std::vector<int64_t> dimMax;       ///< the same

  bool isDynamic() const;
  bool isTensor() const;
};

/// One member of the generated inputs or outputs struct.
struct StructField {
  enum Kind { Pointer, Dim, Capacity, Shape } kind;
  unsigned tensor; ///< index of the input or output
  unsigned dim;    ///< of a Dim: the dimension that names it first
  std::string cName;
};

struct ModelInterface {
  std::string name; ///< a C identifier; every global symbol begins with it
  std::vector<TensorInterface> inputs, outputs;
  std::vector<StructField> inputFields, outputFields;
  int64_t workspace = 0;       ///< bytes of the static arena on the host
  int64_t deviceArena = 0;     ///< likewise on the GPU
  int64_t threadWorkspace = 0; ///< bytes of each thread beyond the first
  int32_t threads = 0;         ///< --threads=; 0: as many as there are CPUs
  int64_t weightsSize = 0;     ///< bytes of NAME_weights
  int64_t stateSize = 0;       ///< bytes of the state; 0: there is none
  bool hasDevice = false;      ///< there is code for a GPU
  bool hasGraphs = false;      ///< its launches follow from shapes alone
  bool hasHostWork = false;    ///< the host computes tensors, too
  /// With --profile: the nodes that are measured.
  std::vector<std::string> profileNodes;
  std::vector<bool> hostInputs; ///< on a GPU: that the host reads, too

  bool hasDynamicOutput() const;
  std::string symbol(llvm::StringRef suffix) const {
    return (name + "_" + suffix).str();
  }
};

/// Reads `dlc.name`, `dlc.inputs`, `dlc.outputs`, `dlc.workspace`,
/// `dlc.thread_workspace`, `dlc.threads`, `dlc.weights_size`,
/// `dlc.state_size`, `dlc.profile`, and for a GPU `dlc.graphs` and
/// `dlc.host_inputs`, of a module. Emits an error for whatever is missing or
/// has a type that no C interface can have.
DLC_API mlir::FailureOr<ModelInterface> readInterface(mlir::ModuleOp module);

/// Maps any name to one that C and C++ allow: see docs/CInterface.md.
DLC_API std::string toCIdentifier(llvm::StringRef name);

/// Maps a file's stem or --name to the prefix of a model's symbols.
DLC_API std::string toModelName(llvm::StringRef stem);

} // namespace dlc

#endif
