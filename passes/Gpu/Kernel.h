/// \file
/// What the generators of GPU kernels share: the kernel under construction,
/// the size of its grid, index arithmetic.
#ifndef DLC_PASSES_GPU_KERNEL_H
#define DLC_PASSES_GPU_KERNEL_H

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace dlc {

/// The extent of a dimension of an iteration space.
struct Extent {
  mlir::Value value;     ///< in the kernel, an index
  int64_t fixed;         ///< or ShapedType::kDynamic
  unsigned argument = 0; ///< if dynamic: whose dimension it is at a launch
  unsigned dim = 0;
  int64_t each = 1; ///< if dynamic: of the dimension, for one of this extent

  bool isDynamic() const { return mlir::ShapedType::isDynamic(fixed); }
};

/// How many blocks a launch has: the product of its factors, each a number of
/// items divided by what a block does of them, rounded up.
struct Grid {
  struct Factor {
    llvm::SmallVector<Extent> items; ///< their product
    int64_t perBlock = 1;
  };
  llvm::SmallVector<Factor> factors;
  int64_t threads = 256; ///< of a block

  /// The number of blocks for a launch with these operands.
  mlir::Value emitBlocks(mlir::ImplicitLocOpBuilder &b,
                         mlir::ValueRange operands) const;
};

/// A kernel under construction. The generators emit code at the builder's
/// insertion point, and say how it is launched.
class Kernel {
public:
  Kernel(mlir::gpu::GPUFuncOp func, mlir::ImplicitLocOpBuilder &b,
         unsigned capability)
      : func(func), b(b), capability(capability) {}

  mlir::gpu::GPUFuncOp func;
  mlir::ImplicitLocOpBuilder &b;
  /// The least compute capability, times 10, of the GPUs to run on.
  unsigned capability;
  Grid grid;
  /// Blocks that a multiprocessor is to have at once, which limits registers:
  /// without it ptxas spills a few for the sake of one block more.
  int64_t residentBlocks = 0;
  /// For remarks: what a generator chose.
  std::string description;
  /// The buffers that are arguments of a launch, by number.
  llvm::DenseMap<mlir::Value, unsigned> arguments;

  /// The size of `buffer` in dimension `dim`.
  Extent extentOf(mlir::Value buffer, unsigned dim);
  Extent fixedExtent(int64_t size);

  /// The number of this thread among all, or in its block; of this block.
  mlir::Value globalThread();
  mlir::Value thread();
  mlir::Value block();

  mlir::Value index(int64_t value);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  /// Of numbers whose sum is not negative and below 2^32: half the registers.
  mlir::Value addNarrow(mlir::Value x, mlir::Value y);
  mlir::Value isLess(mlir::Value x, mlir::Value y);
  /// The larger, or the smaller, of two signed numbers.
  mlir::Value max(mlir::Value x, mlir::Value y);
  mlir::Value min(mlir::Value x, mlir::Value y);
  mlir::Value rem(mlir::Value x, int64_t divisor);
  mlir::Value div(mlir::Value x, int64_t divisor);
  /// ceil(x / divisor)
  mlir::Value ceilDiv(mlir::Value x, int64_t divisor);
  mlir::Value product(llvm::ArrayRef<Extent> extents);

  /// The coordinates of `position`, counted row by row, in a space of these
  /// extents. In 32 bits, which are four times as fast, where they suffice.
  llvm::SmallVector<mlir::Value> coordinates(mlir::Value position,
                                             llvm::ArrayRef<Extent> extents);
  /// The values of the results of `map` for these dimensions.
  llvm::SmallVector<mlir::Value> apply(mlir::AffineMap map,
                                       llvm::ArrayRef<mlir::Value> dims);
  /// `body` if `condition` holds.
  void when(mlir::Value condition, llvm::function_ref<void()> body);
  /// `for i = lower to upper step step` that carries values.
  llvm::SmallVector<mlir::Value>
  loop(mlir::Value lower, mlir::Value upper, int64_t step,
       mlir::ValueRange carried,
       llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value,
                                                         mlir::ValueRange)>
           body);
  /// Memory that the threads of a block share.
  mlir::Value shared(llvm::ArrayRef<int64_t> shape, mlir::Type type);
  /// Bytes of it that a block may have: of 8.6, which has least of those from
  /// 8.0 on; what needs no more than that of PTX's declarations before.
  int64_t mostShared() const { return (capability >= 80 ? 99 : 48) << 10; }
  void barrier();
  /// What the thread of the warp whose number differs in these bits has of a
  /// value: an integer or float of up to 64 bits.
  mlir::Value exchange(mlir::Value value, int64_t bits);
  /// Calls a function that lib/Codegen/TensorCores.cpp defines.
  mlir::Value call(llvm::StringRef name, mlir::Type result,
                   mlir::ValueRange operands);
};

/// The product of the extents, or ShapedType::kDynamic.
int64_t fixedProduct(llvm::ArrayRef<Extent> extents);

/// The generators. Each emits the work of `op`, an op in the kernel, and
/// returns true, or leaves the kernel as it was and returns false.
bool emitReduction(Kernel &kernel, mlir::linalg::LinalgOp op);
bool emitTransposition(Kernel &kernel, mlir::linalg::LinalgOp op);
bool emitVectors(Kernel &kernel, mlir::linalg::LinalgOp op);
bool emitLoops(Kernel &kernel, mlir::linalg::LinalgOp op);
bool emitContractMma(Kernel &kernel, ContractOp op);
bool emitContractTile(Kernel &kernel, ContractOp op);
bool emitContractDepthwise(Kernel &kernel, ContractOp op);
bool emitContractScalar(Kernel &kernel, ContractOp op);
bool emitAttentionMma(Kernel &kernel, AttentionOp op);
bool emitAttentionTile(Kernel &kernel, AttentionOp op);

/// What the generators of linalg ops share.
struct LoopNest {
  LoopNest(Kernel &kernel, mlir::linalg::LinalgOp op);

  /// Loads the inputs at these coordinates, one an iteration dimension.
  llvm::SmallVector<mlir::Value> loadInputs(llvm::ArrayRef<mlir::Value> at);
  mlir::Value loadOutput(unsigned output, llvm::ArrayRef<mlir::Value> at);
  void storeOutputs(mlir::ValueRange values, llvm::ArrayRef<mlir::Value> at);
  /// The results of the body.
  llvm::SmallVector<mlir::Value> inlineBody(mlir::ValueRange inputs,
                                            mlir::ValueRange outputs,
                                            llvm::ArrayRef<mlir::Value> at);
  /// Whether the body reads the old value of an output.
  bool readsOutput(unsigned output);
  mlir::AffineMap outputMap(unsigned output);
  llvm::SmallVector<Extent> extentsOf(llvm::ArrayRef<unsigned> dims);

  Kernel &kernel;
  mlir::linalg::LinalgOp op;
  llvm::SmallVector<Extent> extents; ///< one a dimension
  /// The dimensions by kind: the parallel ones in the order in which the
  /// first output has them, so that threads side by side write side by side.
  llvm::SmallVector<unsigned> parallel, reduction;
};

} // namespace dlc

#endif
