/// \file
/// What is in a model: for `dlc info`.
#ifndef DLC_LIB_COMPILER_MODELINFO_H
#define DLC_LIB_COMPILER_MODELINFO_H

#include "dialects/Onnx/Onnx.h"
#include "dlc/Api.h"
#include <map>

namespace dlc {

/// An input or output.
struct ValueInfo {
  std::string name;
  std::string type; ///< "float32[batch,3,?]"
};

/// All nodes of one operator, those of subgraphs and functions included.
struct OperatorInfo {
  std::string domain; ///< "" is ai.onnx
  std::string name;
  int64_t count = 0;
  /// Multiply-accumulates of one run, where the shapes are known; a body of a
  /// loop, and each branch, counts once.
  int64_t macs = 0;
  /// Nodes whose multiply-accumulates depend on shapes that are not known.
  int64_t dynamic = 0;
  bool isContraction = false; ///< a kind of operator that has any
  bool isSupported = false;   ///< dlc has a lowering, or the model a function
};

/// Numbers that are stored in the model, of one element type.
struct ParameterInfo {
  int64_t tensors = 0, elements = 0, bytes = 0;
};

struct FunctionInfo {
  std::string domain, name;
  int64_t nodes = 0;
};

struct ModelInfo {
  int64_t irVersion = 0;
  std::string graph, producer, producerVersion, domain, doc;
  int64_t modelVersion = 0;
  std::map<std::string, int64_t> opsets; ///< "ai.onnx" is spelled out
  std::map<std::string, std::string> metadata;
  std::vector<ValueInfo> inputs, outputs;
  std::vector<OperatorInfo> operators; ///< most frequent first, then by name
  std::map<std::string, ParameterInfo> parameters; ///< by type
  std::vector<FunctionInfo> functions;
};

/// Looks through a module that readModel() made without raising.
DLC_API ModelInfo getModelInfo(mlir::ModuleOp module);

/// A text whose line i is the node of index i - 1 in the graph: its name, what
/// it computes of what, and the types of its results. Nodes of subgraphs are
/// not in it.
DLC_API std::string listNodes(mlir::ModuleOp module);

/// The number of onnx.node ops.
DLC_API int64_t countNodes(mlir::ModuleOp module);

/// The multiply-accumulates of one node: -1 where they depend on shapes that
/// are not known, nothing for operators that are no contraction.
DLC_API std::optional<int64_t> countMacs(onnx::NodeOp node);

} // namespace dlc

#endif
