// A plugin built with another LLVM, for the right version of dlc.
#include <cstdint>
#include <dlc/Version.h>

static const struct {
  uint32_t apiVersion;
  const char *dlcVersion, *llvmVersion;
} info = {1, DLC_VERSION_STRING, "21.0.0"};

extern "C" __attribute__((visibility("default"))) const void *
dlcGetPluginInfo() {
  return &info;
}
