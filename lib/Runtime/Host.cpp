// The runtime of this process, for models that are loaded into it.
#include "lib/Runtime/Bitcode.h"

using namespace llvm;

// HostFunctions.inc has a line HOST_FUNCTION(name) for each function of rt/.
// Only addresses are taken, so that the types do not matter.
#define HOST_FUNCTION(name) extern "C" void name();
#include "lib/Runtime/HostFunctions.inc"
#undef HOST_FUNCTION

bool dlc::isSharedSymbol(StringRef name) {
  return name.starts_with("dlc_pool_1");
}

ArrayRef<dlc::HostFunction> dlc::hostFunctions() {
  static const HostFunction functions[] = {
#define HOST_FUNCTION(name) {#name, reinterpret_cast<void *>(name)},
#include "lib/Runtime/HostFunctions.inc"
#undef HOST_FUNCTION
  };
  return functions;
}
