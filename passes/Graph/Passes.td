// The passes of the phase `graph`.
#ifndef DLC_PASSES_GRAPH
#define DLC_PASSES_GRAPH

include "mlir/Pass/PassBase.td"

#endif
