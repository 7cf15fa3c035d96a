/// \file
/// Fourier transforms as code on vectors, each lane one of its own.
#ifndef DLC_PASSES_CPU_FOURIERTRANSFORM_H
#define DLC_PASSES_CPU_FOURIERTRANSFORM_H

#include "lib/Kernels/Fourier.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <functional>

namespace dlc {

/// Vectors of real and imaginary parts; a null value is a zero.
struct Complex {
  mlir::Value re, im;
};

/// Emits transforms of power-of-two sizes at the builder's insertion point, as
/// straight code: decimation in time, and the way back in reverse.
class FourierTransform {
public:
  using Reals = llvm::SmallVector<mlir::Value>;
  using Complexes = llvm::SmallVector<Complex>;

  FourierTransform(mlir::ImplicitLocOpBuilder &b, bool fma) : b(b), fma(fma) {}

  /// X[k] = sum_n x[n] exp(-2 pi i n k / N), for k = 0 .. N / 2 of real x.
  Complexes forward(llvm::ArrayRef<mlir::Value> x);
  Complexes forward(llvm::ArrayRef<Complex> x);
  /// N times the x that `forward` takes, of which N numbers are asked for.
  Reals inverse(llvm::ArrayRef<Complex> half, int64_t size);
  Complexes inverse(llvm::ArrayRef<Complex> x);

  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value scale(mlir::Value x, double factor);
  /// sum + x * factor
  mlir::Value addProduct(mlir::Value sum, mlir::Value x, double factor);
  mlir::Value multiply(mlir::Value x, mlir::Value y);
  Complex multiply(Complex x, Complex y);

private:
  /// sum + w * x, and sum - w * x
  std::pair<Complex, Complex> butterfly(Complex sum, Complex x, double re,
                                        double im);
  mlir::Value negate(mlir::Value x) { return scale(x, -1); }

  mlir::ImplicitLocOpBuilder &b;
  bool fma;
};

/// Transforms of tiles, in two passes: lines, then columns. Numbers between
/// the passes lie in memory, in slots; so the code is that of one line and of
/// one column, in loops. A tile of one line needs no memory.
class TileTransform {
public:
  /// Which slots there are: as many as numbers in a tile, or the planes of the
  /// layout, which may be written as they are read.
  enum class Slots { Own, Planes };

  TileTransform(mlir::ImplicitLocOpBuilder &b, FourierLayout layout, bool fma,
                Slots slots)
      : b(b), layout(layout), slots(slots), math(b, fma) {}

  struct Memory {
    std::function<mlir::Value(mlir::Value slot)> load;
    std::function<void(mlir::Value slot, mlir::Value)> store;
  };
  /// The numbers of line i; null values are zeros.
  using LoadLine =
      llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value)>;
  using StoreLine =
      llvm::function_ref<void(mlir::Value, llvm::ArrayRef<mlir::Value>)>;
  /// Where a number goes, whose first plane is given, and comes from; a real
  /// one has no imaginary part.
  using Put = llvm::function_ref<void(mlir::Value plane, Complex)>;
  using Get = llvm::function_ref<Complex(mlir::Value plane, bool isReal)>;
  using Multiply = llvm::function_ref<Complex(mlir::Value plane, Complex)>;

  /// The lines from `lines` on are zeros.
  void forward(int64_t lines, LoadLine loadLine, const Memory &memory, Put put);
  /// `storeLine` gets the first `lines` lines, at most `most`, height * width
  /// times as large.
  void inverse(Get get, mlir::Value lines, int64_t most, const Memory &memory,
               StoreLine storeLine);
  /// Both, with `multiply` in between; no plane is kept.
  void filter(LoadLine loadLine, const Memory &memory, Multiply multiply,
              mlir::Value lines, int64_t most, StoreLine storeLine);

  FourierTransform &arithmetic() { return math; }

private:
  using RealColumn =
      llvm::function_ref<void(mlir::Value slot, mlir::Value plane)>;
  using ComplexColumn = RealColumn;

  mlir::Value constant(int64_t value);
  mlir::Value addTo(mlir::Value x, int64_t y);
  mlir::Value times(mlir::Value x, int64_t y);
  void emitFor(mlir::Value upper, llvm::function_ref<void(mlir::Value)> body);
  /// The first slot of the column of the number `number` of a line, real ones
  /// first; `step` is the distance of complex columns.
  int64_t getSlot(int64_t number, int64_t &step) const;
  void emitColumns(RealColumn real, ComplexColumn complex);
  void transformLines(int64_t lines, const Memory &memory, LoadLine loadLine);
  void restoreLines(mlir::Value lines, const Memory &memory,
                    StoreLine storeLine);
  llvm::SmallVector<mlir::Value> loadColumn(const Memory &memory,
                                            mlir::Value slot, int64_t lines);
  void storeColumn(const Memory &memory, mlir::Value slot,
                   llvm::ArrayRef<mlir::Value> column, int64_t lines);
  void putReal(llvm::ArrayRef<mlir::Value> column, mlir::Value plane, Put put);
  llvm::SmallVector<mlir::Value> getReal(mlir::Value plane, Get get);

  mlir::ImplicitLocOpBuilder &b;
  FourierLayout layout;
  Slots slots;
  FourierTransform math;
};

} // namespace dlc

#endif
