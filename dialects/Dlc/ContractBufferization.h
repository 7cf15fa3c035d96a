/// \file
/// dlc.contract for one-shot bufferization.
#ifndef DLC_DIALECTS_DLC_CONTRACTBUFFERIZATION_H
#define DLC_DIALECTS_DLC_CONTRACTBUFFERIZATION_H

namespace mlir {
class DialectRegistry;
}

namespace dlc {
/// Attaches BufferizableOpInterface to dlc.contract.
void registerContractBufferization(mlir::DialectRegistry &registry);
} // namespace dlc

#endif
