/// \file
/// Patterns of dlc-sink-transposes that stand in files of their own.
#ifndef DLC_PASSES_GRAPH_SINKTRANSPOSES_H
#define DLC_PASSES_GRAPH_SINKTRANSPOSES_H

#include "mlir/IR/PatternMatch.h"

namespace dlc {

/// Through loops that load elements of a transposed tensor, as a Resize does.
void populateSinkThroughLoops(mlir::RewritePatternSet &patterns);

} // namespace dlc

#endif
