/// \file
/// Scales and zero points as numbers, where they are constants.
#ifndef DLC_PASSES_GRAPH_QUANTIZATIONCONSTANTS_H
#define DLC_PASSES_GRAPH_QUANTIZATIONCONSTANTS_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"

namespace dlc {

/// True if all elements are constants and 0.
bool isKnownZero(mlir::Value value);
/// True if all elements are constants above 0.
bool isKnownPositive(mlir::Value value);
/// The same value, or constants of the same elements.
bool areEqualConstants(mlir::Value a, mlir::Value b);
/// Constant f32 numbers that differ by no more than what products of two
/// floats are rounded by.
bool areNearlyEqual(mlir::Value a, mlir::Value b);
/// The lowest and highest number of a type.
std::pair<int64_t, int64_t> getIntegerRange(mlir::IntegerType type);
/// What dlc.quantize makes of one number, where all three are constants of one
/// element.
std::optional<int64_t> quantizeConstant(mlir::Value x, mlir::Value scale,
                                        mlir::Value zero);

} // namespace dlc

#endif
