/// \file
/// A sum along a row, of vectors and of parts of vectors.
#ifndef DLC_PASSES_CPU_ROWSUM_H
#define DLC_PASSES_CPU_ROWSUM_H

#include "passes/Cpu/RowSweep.h"

namespace dlc {

/// A constant like `type`, a float or a vector of them.
mlir::Value constantLike(mlir::ImplicitLocOpBuilder &b, mlir::Type type,
                         double value);

/// The sum, maximum or the like that a step makes of a row. While it is added
/// up it has one value for each of the vectors that are computed at once; that
/// of exponentials has one of f32, and what its additions were rounded by.
class RowSum {
public:
  /// The step's op that adds an element, if that may be in any order.
  static mlir::Operation *findAddition(const RowStep &step);
  static bool isReduction(const RowStep &step) {
    return step.kinds.back() == mlir::utils::IteratorType::reduction;
  }

  RowSum(const RowStep &step, unsigned number) : step(&step), number(number) {}

  /// The number of the step.
  unsigned getNumber() const { return number; }
  /// Of exponentials: adds up the ones too, and at last `ones` counts them.
  /// Whether the two are counted among the ones or the others is all the same.
  void takeOnes(unsigned ones) { onesNumber = ones; }

  /// Values to keep where `vectors` vectors are added at once.
  unsigned countSlots(int64_t vectors) const {
    return step->addsExponentials ? 2 : vectors;
  }
  mlir::Value getNeutral(mlir::ImplicitLocOpBuilder &b, int64_t width) const;
  llvm::SmallVector<mlir::Value> start(mlir::ImplicitLocOpBuilder &b,
                                       int64_t width, int64_t vectors) const;
  /// What to add of what the step's own op would add.
  mlir::Value getAddend(mlir::Value added) const;
  /// Adds a vector of one or several times `lanes` elements, or a number.
  void accumulate(mlir::ImplicitLocOpBuilder &b, int64_t lanes,
                  llvm::MutableArrayRef<mlir::Value> sum,
                  mlir::Value added) const;
  /// The sum of all lanes: one number or, of exponentials, two of f64.
  llvm::SmallVector<mlir::Value> finish(mlir::ImplicitLocOpBuilder &b,
                                        llvm::ArrayRef<mlir::Value> sum) const;
  mlir::Value combine(mlir::ImplicitLocOpBuilder &b, mlir::Value x,
                      mlir::Value y) const;
  /// Adds what `finish` made to the elements of the step's buffer; `load` and
  /// `store` have the step's number.
  void store(mlir::ImplicitLocOpBuilder &b, llvm::ArrayRef<mlir::Value> total,
             llvm::function_ref<mlir::Value(unsigned)> load,
             llvm::function_ref<void(mlir::Value, unsigned)> store) const;

private:
  mlir::Value combineLanes(mlir::ImplicitLocOpBuilder &b,
                           mlir::Value vector) const;

  const RowStep *step;
  unsigned number;
  std::optional<unsigned> onesNumber;
};

} // namespace dlc

#endif
