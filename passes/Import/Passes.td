// The passes of the phase `import`.
#ifndef DLC_PASSES_IMPORT
#define DLC_PASSES_IMPORT

include "mlir/Pass/PassBase.td"

#endif
