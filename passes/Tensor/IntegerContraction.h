/// \file
/// Contractions of bytes: the zero points and signs of their operands become
/// corrections of the sums.
#ifndef DLC_PASSES_TENSOR_INTEGERCONTRACTION_H
#define DLC_PASSES_TENSOR_INTEGERCONTRACTION_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

/// A product of bytes as dlc.matmul and dlc.conv have it.
struct IntegerContraction {
  mlir::Value lhs, rhs; // tensors of i8
  bool lhsUnsigned, rhsUnsigned;
  /// The zero points as values of the dlc dialect (null: 0), and the same as
  /// tensors of i8: of rank 0, or on the right with the result's innermost
  /// dimensions.
  mlir::Value lhsZero, rhsZero, lhsZeroBytes, rhsZeroBytes;
  llvm::SmallVector<mlir::AffineMap> maps;     // of lhs, rhs and the result
  llvm::SmallVector<mlir::OpFoldResult> sizes; // of the result
};

/// The kind of bytes that the dot products of a machine take on the left.
enum class ByteKind {
  Any,
  Unsigned,
  Signed,
  UnsignedOrTiles, ///< unsigned but for products of tiles, which take any
};

/// The option `bytes` of a pass: any, unsigned, signed or unsigned-or-tiles;
/// else an error.
std::optional<ByteKind> parseByteKind(mlir::Operation *op, llvm::StringRef pass,
                                      llvm::StringRef bytes);

/// The i32 sums as one dlc.contract, whose right operand is signed and whose
/// left operand is of the wanted kind:
///
///   sum (x - xz)(w - wz) = sum x w  -  xz sum (w - wz)  -  wz sum x
///
/// The second term is one number for each column, of constants where the
/// weights are, and the third is left out where wz is 0.
mlir::Value createIntegerContraction(mlir::OpBuilder &builder,
                                     mlir::Location loc,
                                     IntegerContraction contraction,
                                     ByteKind wanted);

} // namespace dlc

#endif
