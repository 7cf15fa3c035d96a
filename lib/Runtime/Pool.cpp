// The pool of threads of this process, for models that are loaded into it.
#include "lib/Runtime/Bitcode.h"

using namespace llvm;

// rt/rt_pool.c.
extern "C" {
int32_t dlc_pool_1_enter(void);
void dlc_pool_1_leave(void);
void dlc_pool_1_run(void (*body)(void *data, int32_t index), void *data,
                    int32_t count);
}

bool dlc::isSharedSymbol(StringRef name) {
  return name.starts_with("dlc_pool_1");
}

ArrayRef<dlc::PoolFunction> dlc::poolFunctions() {
  static const PoolFunction functions[] = {
      {"dlc_pool_1_enter", reinterpret_cast<void *>(dlc_pool_1_enter)},
      {"dlc_pool_1_leave", reinterpret_cast<void *>(dlc_pool_1_leave)},
      {"dlc_pool_1_run", reinterpret_cast<void *>(dlc_pool_1_run)},
  };
  return functions;
}
