/// \file
/// The kernels of a model as LLVM IR, before they are anybody's machine code.
#ifndef DLC_LIB_CODEGEN_DEVICEMODULE_H
#define DLC_LIB_CODEGEN_DEVICEMODULE_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/Module.h"

namespace dlc {

/// Translates the gpu.module in `module`. Emits an error where a kernel calls
/// a function that does not exist on a GPU. Instructions of tensor cores are
/// those of the compute `capability`, times 10.
mlir::FailureOr<std::unique_ptr<llvm::Module>>
translateDevice(mlir::ModuleOp module, llvm::LLVMContext &context,
                unsigned capability);

/// Defines the functions of passes/Gpu/Mma.h that `module` declares.
void defineTensorCores(llvm::Module &module, unsigned capability);

/// Gives each kernel that declares more shared memory than PTX allows what a
/// launch asks for, and says how many bytes that is, by names of kernels.
llvm::StringMap<int64_t> makeSharedDynamic(llvm::Module &module);

} // namespace dlc

#endif
