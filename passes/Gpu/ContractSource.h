/// \file
/// How the threads of a block take a part of A or B of a contraction from
/// memory, for the tile that the block computes.
#ifndef DLC_PASSES_GPU_CONTRACTSOURCE_H
#define DLC_PASSES_GPU_CONTRACTSOURCE_H

#include "passes/Gpu/EmitContract.h"

namespace dlc {

/// The loads of a thread: `width` rows of A (or columns of B) by `depth` terms
/// are taken by `threads` threads, those side by side taking elements side by
/// side.
struct ContractSource {
  /// `most`: elements that a load may take. With `isWhole` all threads load
  /// equally many; otherwise some may have none (`isPartial`).
  ContractSource(ContractNest &nest, const ContractNest::Place &block,
                 unsigned operand, int64_t width, int64_t depth,
                 int64_t threads, int64_t most, bool isWhole);

  /// The offset in the buffer of each load of the part that begins at the term
  /// `firstK`, and whether its terms are any of the sum's. With `staysInside`
  /// the offset of those behind the end is that of some element.
  void forEach(mlir::Value firstK, bool staysInside,
               llvm::function_ref<void(size_t load, mlir::Value offset,
                                       mlir::Value isInside)>
                   body) const;
  size_t count() const { return starts.size(); }

  ContractNest &nest;
  const ContractNest::Place &block;
  unsigned operand;
  int64_t width, depth;
  mlir::Value buffer; ///< one-dimensional view
  mlir::Type type;    ///< of elements in memory
  bool isDepthFast;   ///< memory has terms of a sum side by side
  bool isPartial;     ///< not all threads load
  int64_t vector;     ///< elements of a load
  llvm::SmallVector<mlir::Value> starts; ///< offsets without k, one a load
  llvm::SmallVector<mlir::Value> outer;  ///< the row or column in the tile
  llvm::SmallVector<mlir::Value> k;      ///< the term in the part
};

} // namespace dlc

#endif
