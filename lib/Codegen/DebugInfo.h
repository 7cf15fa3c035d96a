/// \file
/// Debug information: which node of the model each instruction comes from.
#ifndef DLC_LIB_CODEGEN_DEBUGINFO_H
#define DLC_LIB_CODEGEN_DEBUGINFO_H

#include "mlir/IR/BuiltinOps.h"

namespace dlc {

/// Turns the locations of a module in the llvm phase into what becomes DWARF.
/// Each node is a function that is inlined where its code stands, so that
/// debuggers and profilers name it. Its file is the model, its line the node's
/// index in the graph, from 1. Functions that `main` calls are named after
/// their nodes, "conv1+relu1". Leaves a module alone that has debug
/// information.
void addDebugInfo(mlir::ModuleOp module, llvm::StringRef main,
                  bool isOptimized);

} // namespace dlc

#endif
