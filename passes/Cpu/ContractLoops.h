/// \file
/// A dlc.contract on memrefs, seen as loops over flat buffers: the extent and
/// kind of every iteration dimension, and the stride with which each operand
/// moves along it. All generators of kernels start from this.
#ifndef DLC_PASSES_CPU_CONTRACTLOOPS_H
#define DLC_PASSES_CPU_CONTRACTLOOPS_H

#include "dialects/Dlc/Dlc.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace dlc {

/// Arithmetic on index values that folds what is constant.
class IndexMath {
public:
  explicit IndexMath(mlir::ImplicitLocOpBuilder &builder) : b(builder) {}
  mlir::Value constant(int64_t value);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y); // of non-negative values
  mlir::Value rem(mlir::Value x, mlir::Value y);
  mlir::Value min(mlir::Value x, mlir::Value y);
  mlir::Value max(mlir::Value x, mlir::Value y);
  mlir::Value add(mlir::Value x, int64_t y) { return add(x, constant(y)); }
  mlir::Value mul(mlir::Value x, int64_t y) { return mul(x, constant(y)); }
  mlir::Value div(mlir::Value x, int64_t y) { return div(x, constant(y)); }
  mlir::Value rem(mlir::Value x, int64_t y) { return rem(x, constant(y)); }
  /// The largest multiple of `y` that is at most `x`.
  mlir::Value roundDown(mlir::Value x, int64_t y) { return mul(div(x, y), y); }

private:
  mlir::ImplicitLocOpBuilder &b;
};

/// The value of an index constant, or nothing.
std::optional<int64_t> staticIndex(mlir::Value value);
bool isStatic(mlir::Value value, int64_t expected);

/// `for i = lower to upper step step`; nothing if it is known not to run, no
/// loop if it is known to run once.
void emitFor(mlir::ImplicitLocOpBuilder &b, mlir::Value lower,
             mlir::Value upper, int64_t step,
             llvm::function_ref<void(mlir::Value)> body);
/// Such loops from 0 to each of `extents`, the last one innermost; `body` gets
/// the indices of all.
void emitNest(mlir::ImplicitLocOpBuilder &b,
              llvm::ArrayRef<mlir::Value> extents,
              llvm::function_ref<void(llvm::ArrayRef<mlir::Value>)> body);

/// An operand as a flat buffer. The element at d has the offset
/// `base + sum strides[d] * d`, where `panelDim` counts as
/// `(d floordiv panelWidth) * panelStride + (d mod panelWidth) * strides[d]`,
/// and `groupDim` likewise.
struct ContractOperand {
  mlir::Value buffer; // memref<?xT, strided<[1], offset: ?>>
  mlir::Type type;    // T
  mlir::Value base;
  llvm::SmallVector<mlir::Value> strides;
  std::optional<unsigned> panelDim;
  int64_t panelWidth = 0;
  mlir::Value panelStride;
  std::optional<unsigned> groupDim;
  int64_t groupWidth = 0;
  mlir::Value groupStride;

  bool moves(unsigned dim) const { return !isStatic(strides[dim], 0); }
};

/// The strides of `memref` as index values, and its flat view: the buffer and
/// type of `operand`. Fails where its layout isn't linear.
llvm::LogicalResult flatten(mlir::Value memref, mlir::ImplicitLocOpBuilder &b,
                            ContractOperand &operand,
                            llvm::SmallVectorImpl<mlir::Value> &strides);

/// A dimension of A whose indices may lie outside of [0, size), where it counts
/// as zero.
struct OutsideWindow : ContractOp::Window {
  mlir::Value size;
};

/// The loops of one contraction. Dimensions of extent 1 are left out of the
/// lists; neighbours that every operand walks as one are merged, but for those
/// of `outside`.
struct ContractLoops {
  /// Emits the computation of extents and strides before `op`. Fails, without
  /// an error, where an operand's layout or map isn't linear.
  static mlir::FailureOr<ContractLoops> analyse(ContractOp op,
                                                mlir::ImplicitLocOpBuilder &b);

  ContractOp op;
  llvm::SmallVector<mlir::Value> extents; // one an iteration dimension
  llvm::SmallVector<unsigned> batches, rows, columns, sums; // outermost first
  /// a, b, the extras, c: the order of the op's maps.
  llvm::SmallVector<ContractOperand> operands;
  llvm::SmallVector<OutsideWindow> outside;
  bool aUnsigned, bUnsigned;
  bool isTransposed = false; // a is the op's B, b its A
  bool aFlipped, bFlipped;   // the top bit of bytes, before they are extended

  ContractOperand &a() { return operands[0]; }
  ContractOperand &b() { return operands[1]; }
  ContractOperand &c() { return operands.back(); }

  /// The product of the extents of `dims`.
  mlir::Value getExtent(llvm::ArrayRef<unsigned> dims,
                        mlir::ImplicitLocOpBuilder &b) const;
  /// The dimension of `dims` along which c moves by one element, or nothing.
  std::optional<unsigned> contiguousInC(llvm::ArrayRef<unsigned> dims);
  /// Swaps the roles of a and b, rows and columns.
  void transpose();
};

} // namespace dlc

#endif
