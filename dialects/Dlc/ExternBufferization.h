/// \file
/// dlc.extern for one-shot bufferization.
#ifndef DLC_DIALECTS_DLC_EXTERNBUFFERIZATION_H
#define DLC_DIALECTS_DLC_EXTERNBUFFERIZATION_H

namespace mlir {
class DialectRegistry;
}

namespace dlc {
/// Attaches BufferizableOpInterface to dlc.extern.
void registerExternBufferization(mlir::DialectRegistry &registry);
} // namespace dlc

#endif
