// A pass plugin for another version of MLIR's interface of plugins.
#include <cstdint>

struct Info {
  uint32_t apiVersion;
  const char *name, *version;
  void (*initialize)();
};

extern "C" __attribute__((visibility("default"))) Info mlirGetPassPluginInfo() {
  return {99, "old", "1", nullptr};
}
