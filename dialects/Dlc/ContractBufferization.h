/// \file
/// dlc.contract and dlc.winograd_weights for one-shot bufferization.
#ifndef DLC_DIALECTS_DLC_CONTRACTBUFFERIZATION_H
#define DLC_DIALECTS_DLC_CONTRACTBUFFERIZATION_H

namespace mlir {
class DialectRegistry;
}

namespace dlc {
/// Attaches BufferizableOpInterface to both.
void registerContractBufferization(mlir::DialectRegistry &registry);
} // namespace dlc

#endif
