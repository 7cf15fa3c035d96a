/// \file
/// The attributes that convolutions and pools share.
#ifndef DLC_PASSES_IMPORT_OPS_WINDOWS_H
#define DLC_PASSES_IMPORT_OPS_WINDOWS_H

#include "passes/Import/Ops/Emit.h"

namespace dlc {

/// Strides, dilations and pads (`[begin..., end...]`) of a sliding window.
struct Window {
  llvm::SmallVector<int64_t> kernel, strides, dilations, pads;
  /// auto_pad = SAME_*, or ceil_mode, on dimensions of dynamic size: more
  /// padding, known at run time only.
  bool isSame = false, isSameUpper = false, isCeil = false;

  bool isDynamic() const { return isSame || isCeil; }
};

/// Padding on top of `Window::pads` by spatial dimension.
struct DynamicPads {
  Elements low, high;

  /// Pads `x` ([n, spatial..., c]) with `value`, or 0 where it is null.
  mlir::Value apply(NodeImport &node, mlir::Value x,
                    mlir::Value value = {}) const;
};

/// An error where a window is larger than the padded spatial dimensions of x
/// ([n, c, spatial...]) by more than what gives no element, and these are
/// static.
mlir::LogicalResult expectWindowFits(NodeImport &node, mlir::Value x,
                                     const Window &window);

/// The padding that depends on the `sizes` of the spatial dimensions; zeros
/// for those that are constant.
DynamicPads getDynamicPads(NodeImport &node, const Window &window,
                           llvm::ArrayRef<mlir::OpFoldResult> sizes);

/// Reads the attributes of a node whose input `x` is [n, c, spatial...];
/// nullopt after an error.
std::optional<Window> readWindow(NodeImport &node, mlir::Value x,
                                 llvm::ArrayRef<int64_t> kernel);

/// The convolution of `x` [n, c, spatial...] with ONNX's weights by the node's
/// attributes, as [n, spatial..., m]; null after an error. Products are summed
/// in `resultType`, after the `zeros` of a dlc.conv.
mlir::Value importConvolution(NodeImport &node, mlir::Value x,
                              mlir::Value weights, mlir::Type resultType,
                              mlir::ValueRange zeros = {});

/// The weights [m, c, kernel...] with the sizes that the attribute kernel_shape
/// gives, which a run checks; null after an error.
mlir::Value refineKernel(NodeImport &node, mlir::Value weights);

/// importConvolution for a kernel, or groups, of no static size.
mlir::Value convolveDynamically(NodeImport &node, mlir::Value x,
                                mlir::Value weights, mlir::Type resultType,
                                mlir::ValueRange zeros);

/// x [n, c, spatial...] with zeros behind images that are, or may be, empty, so
/// that there is something to read.
mlir::Value withElements(NodeImport &node, mlir::Value x);

/// Where spatial dimension `i` of an image is read for an element of the result
/// and one of the kernel, and whether anything is there but padding.
using WindowPlace =
    llvm::function_ref<std::pair<Num, Num>(int64_t i, Num output, Num tap)>;

/// The sums over windows of x [n, c, spatial...] times `matrix`
/// [group, c / group * kernel, m / group], as [n, outputs..., m].
mlir::Value multiplyWindows(NodeImport &node, mlir::Value x, mlir::Value matrix,
                            int64_t group, const Elements &kernel,
                            const Elements &outputs, mlir::Type resultType,
                            WindowPlace place);

/// AveragePool and GlobalAveragePool of `x` [n, c, spatial...] by the node's
/// attributes; null after an error.
mlir::Value averagePool(NodeImport &node, mlir::Value x);
mlir::Value globalAveragePool(NodeImport &node, mlir::Value x);

/// MaxPool with its second output, the places of the largest elements.
ImportResult importMaxPoolWithIndices(NodeImport &node, mlir::Value x,
                                      const Window &window,
                                      const DynamicPads &pads);

/// The axes behind those of images and channels; an error where x lacks these.
llvm::SmallVector<int64_t> spatialAxes(NodeImport &node, mlir::Value x);

} // namespace dlc

#endif
