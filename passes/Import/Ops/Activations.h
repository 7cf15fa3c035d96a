/// \file
/// Activation functions that operators name in an attribute.
#ifndef DLC_PASSES_IMPORT_OPS_ACTIVATIONS_H
#define DLC_PASSES_IMPORT_OPS_ACTIVATIONS_H

#include "passes/Import/OpTable.h"

namespace dlc {

/// An activation function with its parameters; the name is in lower case.
struct Activation {
  std::string name;
  double alpha = 0, beta = 0;

  /// Null after an error.
  mlir::Value apply(NodeImport &node, mlir::Value x) const;
};

} // namespace dlc

#endif
