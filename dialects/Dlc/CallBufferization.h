/// \file
/// dlc.call for one-shot bufferization.
#ifndef DLC_DIALECTS_DLC_CALLBUFFERIZATION_H
#define DLC_DIALECTS_DLC_CALLBUFFERIZATION_H

namespace mlir {
class DialectRegistry;
}

namespace dlc {
/// Attaches BufferizableOpInterface to dlc.call.
void registerCallBufferization(mlir::DialectRegistry &registry);
} // namespace dlc

#endif
