/// \file
/// Which convolutions gain by Winograd's form, by a model of its cost.
#ifndef DLC_PASSES_TENSOR_WINOGRADCHOICE_H
#define DLC_PASSES_TENSOR_WINOGRADCHOICE_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

struct WinogradOptions {
  mlir::MLIRContext *context;
  std::string form = "auto"; ///< direct, or winograd: wherever it is possible
  double error = 8;          ///< largest growth of rounding errors with auto
  int64_t lanes = 8;         ///< sums in a vector register
  /// Of the direct form, in multiply-adds of float32: 2 for bfloat16.
  double speed = 1;
};

/// A convolution that can take Winograd's form.
struct WinogradCandidate {
  ContractOp op;
  WinogradAttr form;
  double direct; // cycles of the direct form
  double gain;   // what the form saves of them
  int64_t bytes; // by which the weights grow
};

struct WinogradChoice {
  /// Those that gain most for a byte first, if the form is auto.
  llvm::SmallVector<WinogradCandidate> candidates;
  /// Those that would gain too little.
  llvm::SmallVector<ContractOp> tooSmall;
  int64_t constantBytes = 0; // of the model
};

WinogradChoice chooseWinograd(mlir::Operation *root,
                              const WinogradOptions &options);

/// The dimension of B that is the iteration dimension `dim`; panels have the
/// columns only.
unsigned getPositionInB(ContractOp op, unsigned dim);
/// B's type when its windows have become tiles.
mlir::RankedTensorType getTileType(ContractOp op, WinogradAttr form);

} // namespace dlc

#endif
