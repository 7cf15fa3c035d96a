// Hands out the files that CMakeLists.txt embeds.
#include "lib/Runtime/Bitcode.h"

using namespace llvm;

namespace {
struct EmbeddedFile {
  StringRef name;
  const unsigned char *data;
  size_t size;
};
} // namespace

// Defines `static const EmbeddedFile files[]`.
#include "lib/Runtime/Embedded.inc"

static StringRef find(StringRef name) {
  for (const EmbeddedFile &file : files)
    if (file.name == name)
      return StringRef(reinterpret_cast<const char *>(file.data), file.size);
  return {};
}

StringRef dlc::runtimeBitcode(StringRef target) {
  return find(("runtime-" + target).str());
}

StringRef dlc::builtinsBitcode(StringRef target) {
  return find(("builtins-" + target).str());
}

StringRef dlc::deviceBitcode() { return find("device-nvptx64"); }

StringRef dlc::modelHeader() { return find("Model.h"); }
