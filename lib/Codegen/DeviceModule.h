/// \file
/// The kernels of a model as LLVM IR, before they are anybody's machine code.
#ifndef DLC_LIB_CODEGEN_DEVICEMODULE_H
#define DLC_LIB_CODEGEN_DEVICEMODULE_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"

namespace dlc {

/// Translates the gpu.module in `module`. Emits an error where a kernel calls
/// a function that does not exist on a GPU.
mlir::FailureOr<std::unique_ptr<llvm::Module>>
translateDevice(mlir::ModuleOp module, llvm::LLVMContext &context);

} // namespace dlc

#endif
