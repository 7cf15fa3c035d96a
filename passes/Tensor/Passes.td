#ifndef DLC_TENSOR_PASSES
#define DLC_TENSOR_PASSES
include "mlir/Pass/PassBase.td"
#endif
