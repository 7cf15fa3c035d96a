/// \file
/// Constant tables of a model, as the C structs of the runtime have them.
#ifndef DLC_LIB_CODEGEN_TABLES_H
#define DLC_LIB_CODEGEN_TABLES_H

#include "lib/Codegen/Interface.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Module.h"

namespace dlc {

/// Makes constant tables. Everything is internal; equal strings are one global.
class Tables {
public:
  Tables(llvm::Module &module, const ModelInterface &model)
      : module(module), model(model), context(module.getContext()),
        pointer(llvm::PointerType::getUnqual(context)),
        i32(llvm::Type::getInt32Ty(context)),
        i64(llvm::Type::getInt64Ty(context)),
        size(module.getDataLayout().getIntPtrType(context)),
        null(llvm::ConstantPointerNull::get(pointer)) {}

  llvm::Constant *int32(int32_t value) {
    return llvm::ConstantInt::getSigned(i32, value);
  }

  llvm::Constant *string(llvm::StringRef text) {
    llvm::Constant *&known = strings[text];
    if (!known)
      known = global("str", llvm::ConstantDataArray::getString(context, text));
    auto *var = llvm::cast<llvm::GlobalVariable>(known);
    var->setLinkage(llvm::GlobalValue::PrivateLinkage);
    var->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
    return known;
  }

  llvm::GlobalVariable *global(llvm::StringRef suffix, llvm::Constant *value,
                               bool constant = true) {
    auto *var = new llvm::GlobalVariable(module, value->getType(), constant,
                                         llvm::GlobalValue::InternalLinkage,
                                         value, model.symbol(suffix));
    return var;
  }

  /// A table of `values`, or NULL when there are none.
  llvm::Constant *array(llvm::StringRef suffix, llvm::Type *type,
                        llvm::ArrayRef<llvm::Constant *> values) {
    if (values.empty())
      return null;
    return global(suffix,
                  llvm::ConstantArray::get(
                      llvm::ArrayType::get(type, values.size()), values));
  }
  template <typename T>
  llvm::Constant *ints(llvm::StringRef suffix, llvm::ArrayRef<T> values) {
    llvm::Type *type = sizeof(T) == 8 ? i64 : i32;
    llvm::SmallVector<llvm::Constant *> constants;
    for (T value : values)
      constants.push_back(llvm::ConstantInt::getSigned(type, value));
    return array(suffix, type, constants);
  }

  llvm::Constant *record(llvm::ArrayRef<llvm::Constant *> values) {
    return llvm::ConstantStruct::getAnon(context, values);
  }

  llvm::Constant *tensors(llvm::StringRef suffix,
                          llvm::ArrayRef<TensorInterface> list);
  llvm::StructType *layout(llvm::ArrayRef<StructField> fields,
                           llvm::ArrayRef<TensorInterface> tensors);

  llvm::Module &module;
  const ModelInterface &model;
  llvm::LLVMContext &context;
  llvm::PointerType *pointer;
  llvm::Type *i32, *i64, *size;
  llvm::Constant *null;
  llvm::StringMap<llvm::Constant *> strings;
};

} // namespace dlc

#endif
