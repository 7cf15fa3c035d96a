// Shared memory of kernels that have more than PTX lets a kernel declare: it is
// asked for at the launch.
#include "lib/Codegen/DeviceModule.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;

static constexpr unsigned kSharedSpace = 3;
/// Bytes that PTX lets a kernel declare.
static constexpr uint64_t kMaxStaticShared = 48 * 1024;
static constexpr StringLiteral kDynamicShared = "dlc_shared";

/// The variables in shared memory that the function's instructions name.
static SmallVector<GlobalVariable *> findShared(Function &function) {
  SmallSetVector<GlobalVariable *, 8> found;
  std::function<void(Value *)> visit = [&](Value *value) {
    if (auto *global = dyn_cast<GlobalVariable>(value)) {
      if (global->getAddressSpace() == kSharedSpace)
        found.insert(global);
    } else if (auto *expression = dyn_cast<ConstantExpr>(value)) {
      for (Value *operand : expression->operands())
        visit(operand);
    }
  };
  for (Instruction &instruction : instructions(function))
    for (Value *operand : instruction.operands())
      visit(operand);
  return found.takeVector();
}

StringMap<int64_t> dlc::makeSharedDynamic(Module &module) {
  StringMap<int64_t> sizes;
  const DataLayout &layout = module.getDataLayout();
  for (Function &function : module) {
    if (function.getCallingConv() != CallingConv::PTX_Kernel)
      continue;
    SmallVector<GlobalVariable *> variables = findShared(function);
    SmallVector<uint64_t> places;
    uint64_t end = 0;
    for (GlobalVariable *variable : variables) {
      end =
          alignTo(end, std::max(variable->getAlign().valueOrOne(), Align(16)));
      places.push_back(end);
      end += layout.getTypeAllocSize(variable->getValueType());
    }
    if (end <= kMaxStaticShared)
      continue;
    Type *i8 = Type::getInt8Ty(module.getContext());
    Constant *memory =
        module.getOrInsertGlobal(kDynamicShared, ArrayType::get(i8, 0), [&] {
          auto *created = new GlobalVariable(
              module, ArrayType::get(i8, 0), /*isConstant=*/false,
              GlobalValue::ExternalLinkage, /*Initializer=*/nullptr,
              kDynamicShared, /*InsertBefore=*/nullptr,
              GlobalValue::NotThreadLocal, kSharedSpace);
          created->setAlignment(Align(16));
          return created;
        });
    for (auto [variable, place] : zip(variables, places)) {
      Constant *at = ConstantExpr::getInBoundsGetElementPtr(
          i8, memory,
          ConstantInt::get(Type::getInt32Ty(module.getContext()), place));
      variable->replaceAllUsesWith(at);
      variable->eraseFromParent();
    }
    sizes[function.getName()] = int64_t(end);
  }
  return sizes;
}
