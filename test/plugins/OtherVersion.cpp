// A plugin built for another version of dlc: the beginning of what it says of
// itself is all that the versions share.
#include <cstdint>

static const struct {
  uint32_t apiVersion;
  const char *dlcVersion;
} info = {7, "9.9.9"};

extern "C" __attribute__((visibility("default"))) const void *
dlcGetPluginInfo() {
  return &info;
}
