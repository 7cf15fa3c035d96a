/// \file
/// The functions that kernels for tensor cores call: what is the same on all
/// architectures. lib/Codegen/TensorCores.cpp defines them for each.
///
/// A step of a warp multiplies 16 rows by 16 columns; a fragment of A or B and
/// the 256 sums are spread over its 32 threads. Which thread has which sums
/// differs by architecture. `getMmaTurn` gives each thread eight side by side:
/// at the row `dlc_mma_row` and from the column `dlc_mma_column` on.
#ifndef DLC_PASSES_GPU_MMA_H
#define DLC_PASSES_GPU_MMA_H

#include "dialects/Dlc/Dlc.h"

namespace dlc {

/// What operands of a contraction are in shared memory.
struct MmaOperands {
  mlir::Type type; ///< f32 stands for tf32
  llvm::StringRef name;
};

/// The operands for elements of A and B of these types; nothing where tensor
/// cores of the compute capability cannot do it, or not exactly enough.
inline std::optional<MmaOperands>
findMmaOperands(mlir::Type a, mlir::Type b, mlir::Type sum,
                std::optional<Precision> precision, unsigned capability,
                mlir::MLIRContext *context) {
  if (a.isInteger(8) && b.isInteger(8) && sum.isInteger(32) && capability >= 75)
    return MmaOperands{a, "int8"};
  if (!sum.isF32())
    return std::nullopt;
  auto fits = [&](mlir::Type type) {
    return (a == type || (a.isF32() && precision)) &&
           (b == type || (b.isF32() && precision));
  };
  mlir::Type f16 = mlir::Float16Type::get(context),
             bf16 = mlir::BFloat16Type::get(context),
             f32 = mlir::Float32Type::get(context);
  bool isSame = a == b && !a.isF32();
  if (isSame ? a == f16 : precision == Precision::FP16 && fits(f16))
    if (capability >= 70)
      return MmaOperands{f16, "fp16"};
  if (isSame ? a == bf16 : precision == Precision::BF16 && fits(bf16))
    if (capability >= 80)
      return MmaOperands{bf16, "bf16"};
  if (precision == Precision::TF32 && fits(f32) && capability >= 80)
    return MmaOperands{f32, "tf32"};
  return std::nullopt;
}

/// A step's fragment of rows of 16 i8, 8 f16 or bf16, or 4 f32, a chunk;
/// transposed, which there is not for i8: rows are terms of sums.
inline llvm::StringRef getMmaLoad(mlir::Type type, bool isTransposed) {
  if (type.isInteger(8))
    return "dlc_mma_load_i8";
  if (type.isF32())
    return isTransposed ? "dlc_mma_gather_tf32" : "dlc_mma_load_tf32";
  if (type.isBF16())
    return isTransposed ? "dlc_mma_load_bf16_t" : "dlc_mma_load_bf16";
  return isTransposed ? "dlc_mma_load_f16_t" : "dlc_mma_load_f16";
}

inline llvm::StringRef getMmaMultiply(mlir::Type type, bool aUnsigned,
                                      bool bUnsigned) {
  if (type.isInteger(8))
    return aUnsigned ? (bUnsigned ? "dlc_mma_u8_u8" : "dlc_mma_u8_s8")
                     : (bUnsigned ? "dlc_mma_s8_u8" : "dlc_mma_s8_s8");
  return type.isF32()    ? "dlc_mma_tf32"
         : type.isBF16() ? "dlc_mma_bf16"
                         : "dlc_mma_f16";
}

inline llvm::StringRef getMmaTurn(mlir::Type sum) {
  return sum.isF32() ? "dlc_mma_turn_f32" : "dlc_mma_turn_i32";
}

} // namespace dlc

#endif
