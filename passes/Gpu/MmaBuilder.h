/// \file
/// What the generators of kernels for tensor cores share: operands in shared
/// memory, and their way there and from there.
#ifndef DLC_PASSES_GPU_MMABUILDER_H
#define DLC_PASSES_GPU_MMABUILDER_H

#include "passes/Gpu/Mma.h"
#include "passes/Gpu/TileSource.h"

namespace dlc {

/// An operand in shared memory, [width][depth] or [depth][width], in stages.
/// Its chunks of 16 bytes are swizzled so that accesses of a warp reach all
/// banks.
struct MmaMemory {
  int64_t width, depth;
  bool isDepthMajor;           // terms of a sum are side by side
  mlir::Value elements, first; // of all stages; of one element
  int64_t size() const { return width * depth; }
};

/// A part of an operand on its way to shared memory, where it is as in memory,
/// but bytes always have terms side by side.
struct MmaSource : TileSource {
  MmaMemory shared;
  bool isAsync;                          // copied without registers
  mlir::Value pointer;                   // to memory, of one element
  llvm::SmallVector<mlir::Value> places; // of the loads, in a stage
};

class MmaBuilder {
public:
  /// `type`: of operands in shared memory; f32 stands for tf32.
  MmaBuilder(Kernel &kernel, mlir::Type type);

  /// Gives a source its layout in shared memory, and later the memory.
  MmaSource makeSource(TileSource source);
  void allocate(MmaMemory &shared, int64_t stages);
  /// The thread's elements of the part that begins at `firstK`, as they are
  /// kept in shared memory; 0 behind the end. One value a load.
  llvm::SmallVector<mlir::Value> load(const MmaSource &source,
                                      mlir::Value firstK);
  /// ... and their way into a stage.
  void put(const MmaSource &source, mlir::ValueRange values, mlir::Value slot);
  /// Fills a stage: by copies that go on while the threads do, or at once.
  void copy(const MmaSource &source, mlir::Value firstK, mlir::Value slot);
  /// Rows or columns `firstOuter` ... + 15 of the terms `firstK` ... of a step,
  /// as instructions take them.
  mlir::Value fragment(const MmaMemory &shared, mlir::Value slot,
                       mlir::Value firstOuter, int64_t firstK, bool isB);
  /// The place of an element in a stage.
  mlir::Value placeOf(const MmaMemory &shared, mlir::Value outer,
                      mlir::Value k);
  /// Calls a function that lib/Codegen/TensorCores.cpp defines.
  mlir::Value call(llvm::StringRef name, mlir::Type result,
                   mlir::ValueRange operands);

  Kernel &kernel;
  mlir::ImplicitLocOpBuilder &b;
  mlir::Type type;
  int64_t bytes; ///< of an element
  int64_t chunk; ///< elements of 16 bytes
  mlir::Value lane;

  static constexpr int64_t kWarp = 32, kChunkBytes = 16;
  /// The rows and columns that one step of a warp computes.
  static constexpr int64_t kStep = 16;
  /// Terms of a step.
  int64_t terms() const { return 2 * chunk; }

private:
  mlir::Value swizzle(const MmaMemory &shared, mlir::Value row, mlir::Value at);
};

} // namespace dlc

#endif
