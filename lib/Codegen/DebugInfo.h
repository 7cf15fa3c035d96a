/// \file
/// Debug information: which node of the model each instruction comes from.
#ifndef DLC_LIB_CODEGEN_DEBUGINFO_H
#define DLC_LIB_CODEGEN_DEBUGINFO_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"

namespace dlc {

/// Turns the locations of a module in the llvm phase into what becomes DWARF.
/// Each node is a function that is inlined where its code stands, so that
/// debuggers and profilers name it. Its file is the model, or `listing` unless
/// that is empty, its line the node's index in the graph, from 1. Private
/// functions, the kernels, are named after their nodes, "conv1+relu1", and tell
/// how many places share them. Leaves a module alone that has debug
/// information.
void addDebugInfo(mlir::ModuleOp module, llvm::StringRef main,
                  llvm::StringRef listing, bool isOptimized);

/// Gives the functions of kernels the names of their nodes as symbols, for
/// what reads no debug information, such as `perf report`.
void nameAfterNodes(llvm::Module &module);

} // namespace dlc

#endif
