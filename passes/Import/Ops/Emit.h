/// \file
/// Scalar arithmetic as C++ expressions, and loops on tensors: what rows that
/// compute elements from indices are written with.
///
///   // result[i, j] = x[j, i] + 1
///   Emit e(node);
///   Value x = e.plain(node.input(0));
///   Value result = e.generate(sizes, type, [&](ArrayRef<Num> at) {
///     return e.load(x, {at[1], at[0]}) + 1;
///   });
#ifndef DLC_PASSES_IMPORT_OPS_EMIT_H
#define DLC_PASSES_IMPORT_OPS_EMIT_H

#include "passes/Import/OpTable.h"

namespace dlc {

class Emit;

/// A scalar of type `index`, an integer (signed unless the operation says
/// otherwise), a condition (`i1`) or a float. The operators emit arithmetic of
/// the operands' type; numbers of C++ take that of the other operand. Integer
/// division by 0 gives 0 and rounds towards zero.
class Num {
public:
  Num() = default;
  Num(Emit &emit, mlir::Value value) : emit(&emit), value(value) {}

  Emit *emit = nullptr;
  mlir::Value value;

  operator mlir::Value() const { return value; }
  mlir::Type type() const { return value.getType(); }
  bool isFloat() const { return llvm::isa<mlir::FloatType>(type()); }
  /// A constant of this one's type.
  Num like(double number) const;

  Num operator+(Num o) const;
  Num operator-(Num o) const;
  Num operator*(Num o) const;
  Num operator/(Num o) const;
  Num operator%(Num o) const;
  Num operator+(double o) const { return *this + like(o); }
  Num operator-(double o) const { return *this - like(o); }
  Num operator*(double o) const { return *this * like(o); }
  Num operator/(double o) const { return *this / like(o); }
  Num operator%(double o) const { return *this % like(o); }
  Num operator<(Num o) const;
  Num operator<=(Num o) const;
  Num operator==(Num o) const;
  Num operator!=(Num o) const { return !(*this == o); }
  Num operator>(Num o) const { return o < *this; }
  Num operator>=(Num o) const { return o <= *this; }
  Num operator<(double o) const { return *this < like(o); }
  Num operator<=(double o) const { return *this <= like(o); }
  Num operator==(double o) const { return *this == like(o); }
  Num operator!=(double o) const { return !(*this == like(o)); }
  Num operator>(double o) const { return like(o) < *this; }
  Num operator>=(double o) const { return like(o) <= *this; }
  Num operator!() const;
  /// On conditions.
  Num operator&&(Num o) const;
  Num operator||(Num o) const;
};

/// Emits scalar arithmetic and loops at the insertion point of a node's
/// builder. Tensors are of signless types here: see `plain` and `typed`.
class Emit {
public:
  explicit Emit(NodeImport &node) : node(node), b(node.b), loc(node.loc) {}

  NodeImport &node;
  mlir::OpBuilder &b;
  mlir::Location loc;

  //===--------------------------------------------------------------------===//
  // Scalars
  //===--------------------------------------------------------------------===//

  Num num(mlir::Value value) { return Num(*this, value); }
  Num index(int64_t value);
  Num index(mlir::OpFoldResult size);
  /// The reverse: an attribute where the index is known.
  mlir::OpFoldResult fold(Num size);
  Num constant(double value, mlir::Type type);
  Num flag(bool value) { return constant(value, b.getI1Type()); }
  llvm::SmallVector<Num> indices(llvm::ArrayRef<mlir::OpFoldResult> sizes);

  Num min(Num a, Num c);
  Num max(Num a, Num c);
  Num min(Num a, double c) { return min(a, a.like(c)); }
  Num max(Num a, double c) { return max(a, a.like(c)); }
  Num clamp(Num x, Num low, Num high) { return min(max(x, low), high); }
  /// ifTrue where the condition holds; both are computed.
  Num select(Num condition, Num ifTrue, Num ifFalse);
  Num floor(Num x);
  Num ceil(Num x);
  Num abs(Num x);
  Num sqrt(Num x);
  Num sin(Num x);
  Num cos(Num x);
  Num exp(Num x);
  Num log(Num x);
  Num pow(Num x, Num y);
  /// Nearest integer, ties to even.
  Num round(Num x);
  /// Conversion between index, integers and floats; floats to integers
  /// truncate, saturate at 2^62, and NaN becomes 0.
  Num to(Num x, mlir::Type type, bool isUnsigned = false);
  Num toIndex(Num x) { return to(x, b.getIndexType()); }
  Num toDouble(Num x) { return to(x, b.getF64Type()); }
  /// A negative index counts from the end; then it is clamped to the size, so
  /// that nothing outside is read.
  Num wrapIndex(Num i, Num size);
  /// Fails the run unless the condition holds; see NodeImport::check.
  void check(Num condition, const llvm::Twine &message,
             int32_t status = kValueStatus) {
    node.check(condition.value, message, status);
  }
  /// Fails the run where an element of `tensor` (plain, of integers or floats)
  /// is outside [low, high].
  void checkRange(mlir::Value tensor, Num low, Num high,
                  const llvm::Twine &message);
  /// Fails the run where an index (plain; a negative one counts from the end)
  /// is outside. With `isLast` the last dimension of `indices` has one index
  /// for each extent.
  void checkIndices(mlir::Value indices, llvm::ArrayRef<Num> extents,
                    bool isLast = false);

  //===--------------------------------------------------------------------===//
  // Tensors
  //===--------------------------------------------------------------------===//

  /// `ui8` and so on as signless types, strings as `index`, and back.
  mlir::Value plain(mlir::Value tensor);
  mlir::Value typed(mlir::Value tensor, mlir::Type elementType);
  Num load(mlir::Value tensor, llvm::ArrayRef<Num> at);
  mlir::Value store(Num x, mlir::Value tensor, llvm::ArrayRef<Num> at);
  /// The only element of a tensor of any rank; others than those of one
  /// element are refused.
  Num loadScalar(mlir::Value tensor);
  mlir::Value empty(llvm::ArrayRef<mlir::OpFoldResult> sizes,
                    mlir::Type elementType);
  mlir::Value filled(llvm::ArrayRef<mlir::OpFoldResult> sizes, Num scalar);
  /// A tensor each of whose elements is computed from its index.
  mlir::Value
  generate(llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::Type elementType,
           llvm::function_ref<mlir::Value(llvm::ArrayRef<Num>)> body);
  /// The same where the body calls the runtime.
  mlir::Value
  generateInLoops(llvm::ArrayRef<mlir::OpFoldResult> sizes,
                  mlir::Type elementType,
                  llvm::function_ref<mlir::Value(llvm::ArrayRef<Num>)> body);
  /// The first `sizes` elements along every dimension, in a buffer of its own.
  mlir::Value head(mlir::Value tensor,
                   llvm::ArrayRef<mlir::OpFoldResult> sizes);

  //===--------------------------------------------------------------------===//
  // The runtime
  //===--------------------------------------------------------------------===//

  using Values = llvm::SmallVector<mlir::Value>;

  /// A call of the runtime (dlc.call), at the top level or in loops.
  Values call(llvm::StringRef callee, mlir::ValueRange operands,
              mlir::TypeRange types);
  /// One that returns a scalar.
  Num callFor(mlir::Type type, llvm::StringRef callee,
              mlir::ValueRange operands);
  /// Whether x stands before y, both plain elements of a tensor of `element`,
  /// which says how to compare them: as numbers, signed or not, or strings.
  /// With strings this calls the runtime.
  Num isLess(mlir::Type element, Num x, Num y);

  //===--------------------------------------------------------------------===//
  // Control flow
  //===--------------------------------------------------------------------===//

  /// for (i = low; i < high; i += step) with values carried from turn to turn.
  Values loop(Num low, Num high, mlir::ValueRange inits,
              llvm::function_ref<Values(Num, mlir::ValueRange)> body);
  Values loop(Num low, Num high, Num step, mlir::ValueRange inits,
              llvm::function_ref<Values(Num, mlir::ValueRange)> body);
  /// Nested loops from 0 to `sizes`.
  Values
  nest(llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::ValueRange inits,
       llvm::function_ref<Values(llvm::ArrayRef<Num>, mlir::ValueRange)> body);
  Values ifElse(Num condition, mlir::TypeRange types,
                llvm::function_ref<Values()> then,
                llvm::function_ref<Values()> otherwise);
  /// `then`, or `unchanged` where the condition does not hold.
  Values ifThen(Num condition, mlir::ValueRange unchanged,
                llvm::function_ref<Values()> then);
  /// A sum over nested loops from 0 to `sizes`, in `type`.
  Num sum(llvm::ArrayRef<mlir::OpFoldResult> sizes, mlir::Type type,
          llvm::function_ref<Num(llvm::ArrayRef<Num>)> term);
  /// The numbers [0, count) in the stable order of `less(i, j)`: a tensor of
  /// `index` of one dimension. Merge sort from the bottom up.
  mlir::Value sorted(Num count, llvm::function_ref<Num(Num, Num)> less);
};

} // namespace dlc

#endif
