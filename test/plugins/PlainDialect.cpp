// A plain dialect plugin of MLIR's.

#include "dlc/Api.h"
#include "mlir/IR/Dialect.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"

using namespace mlir;

namespace {
struct PlainDialect : Dialect {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(PlainDialect)
  explicit PlainDialect(MLIRContext *context)
      : Dialect(getDialectNamespace(), context, TypeID::get<PlainDialect>()) {
    allowUnknownOperations();
  }
  static StringRef getDialectNamespace() { return "plain"; }
};
} // namespace

extern "C" DLC_API DialectPluginLibraryInfo mlirGetDialectPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "plain-dialect", "1",
          [](DialectRegistry *registry) { registry->insert<PlainDialect>(); }};
}
