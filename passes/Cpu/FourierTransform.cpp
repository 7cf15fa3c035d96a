// Fourier transforms as code on vectors.
#include "passes/Cpu/FourierTransform.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

//===----------------------------------------------------------------------===//
// Arithmetic, with zeros that are known
//===----------------------------------------------------------------------===//

static Value splat(ImplicitLocOpBuilder &b, Type type, double factor) {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(cast<VectorType>(type), float(factor)));
}

Value FourierTransform::add(Value x, Value y) {
  if (!x || !y)
    return x ? x : y;
  return arith::AddFOp::create(b, x, y);
}

Value FourierTransform::sub(Value x, Value y) {
  if (!y)
    return x;
  return x ? Value(arith::SubFOp::create(b, x, y)) : negate(y);
}

Value FourierTransform::scale(Value x, double factor) {
  if (!x || factor == 1)
    return x;
  if (factor == -1)
    return arith::NegFOp::create(b, x);
  return arith::MulFOp::create(b, x, splat(b, x.getType(), factor));
}

Value FourierTransform::addProduct(Value sum, Value x, double factor) {
  if (!x || !sum)
    return x ? scale(x, factor) : sum;
  if (!fma)
    return add(sum, scale(x, factor));
  return math::FmaOp::create(b, x, splat(b, x.getType(), factor), sum);
}

Value FourierTransform::multiply(Value x, Value y) {
  return arith::MulFOp::create(b, x, y);
}

Complex FourierTransform::multiply(Complex x, Complex y) {
  auto accumulate = [&](Value p, Value q, Value sum) -> Value {
    if (fma)
      return math::FmaOp::create(b, p, q, sum);
    return add(multiply(p, q), sum);
  };
  return {accumulate(x.re, y.re, negate(multiply(x.im, y.im))),
          accumulate(x.re, y.im, multiply(x.im, y.re))};
}

//===----------------------------------------------------------------------===//
// One dimension
//===----------------------------------------------------------------------===//

std::pair<Complex, Complex> FourierTransform::butterfly(Complex sum, Complex x,
                                                        double re, double im) {
  Complex plus{addProduct(addProduct(sum.re, x.im, -im), x.re, re),
               addProduct(addProduct(sum.im, x.im, re), x.re, im)};
  // 2 sum - plus is an operation less than sum - w x.
  auto other = [&](Value sum, Value plus) {
    return addProduct(negate(plus), sum, 2);
  };
  return {plus, {other(sum.re, plus.re), other(sum.im, plus.im)}};
}

/// exp(-2 pi i k / size)
static std::pair<double, double> getRoot(int64_t k, int64_t size) {
  double angle = -2 * M_PI * double(k) / double(size);
  return {std::cos(angle), std::sin(angle)};
}

template <typename T>
static std::array<SmallVector<T>, 2> splitEvenOdd(ArrayRef<T> x) {
  std::array<SmallVector<T>, 2> parts;
  for (auto [i, value] : llvm::enumerate(x))
    parts[i % 2].push_back(value);
  return parts;
}

FourierTransform::Complexes FourierTransform::forward(ArrayRef<Value> x) {
  int64_t size = x.size();
  if (size == 1)
    return {{x[0], {}}};
  auto parts = splitEvenOdd(x);
  Complexes even = forward(ArrayRef<Value>(parts[0]));
  Complexes odd = forward(ArrayRef<Value>(parts[1]));
  Complexes result(size / 2 + 1);
  // The second half of each part is the first one's conjugate.
  for (int64_t k = 0; k <= size / 4; ++k) {
    Complex &first = result[k], &last = result[size / 2 - k];
    if (k == 0) {
      first = {add(even[0].re, odd[0].re), {}};
      last = {sub(even[0].re, odd[0].re), {}};
    } else if (4 * k == size) {
      first = {even[k].re, negate(odd[k].re)};
    } else {
      auto [re, im] = getRoot(k, size);
      std::tie(first, last) = butterfly(even[k], odd[k], re, im);
      last.im = negate(last.im);
    }
  }
  return result;
}

FourierTransform::Complexes FourierTransform::forward(ArrayRef<Complex> x) {
  int64_t size = x.size();
  if (size == 1)
    return {x[0]};
  auto parts = splitEvenOdd(x);
  Complexes even = forward(ArrayRef<Complex>(parts[0]));
  Complexes odd = forward(ArrayRef<Complex>(parts[1]));
  Complexes result(size);
  for (int64_t k = 0; k < size / 2; ++k) {
    Complex e = even[k], o = odd[k];
    Complex &first = result[k], &last = result[k + size / 2];
    if (4 * k == size)
      o = {o.im, negate(o.re)};
    if (k == 0 || 4 * k == size) {
      first = {add(e.re, o.re), add(e.im, o.im)};
      last = {sub(e.re, o.re), sub(e.im, o.im)};
      continue;
    }
    auto [re, im] = getRoot(k, size);
    std::tie(first, last) = butterfly(e, o, re, im);
  }
  return result;
}

FourierTransform::Reals FourierTransform::inverse(ArrayRef<Complex> half,
                                                  int64_t size) {
  if (size == 1)
    return {half[0].re};
  Complexes even(size / 4 + 1), odd(size / 4 + 1);
  for (int64_t k = 0; k <= size / 4; ++k) {
    Complex x = half[k], y = half[size / 2 - k];
    if (k == 0) {
      even[0] = {add(x.re, y.re), {}};
      odd[0] = {sub(x.re, y.re), {}};
    } else if (4 * k == size) {
      even[k] = {scale(x.re, 2), {}};
      odd[k] = {scale(x.im, -2), {}};
    } else {
      even[k] = {add(x.re, y.re), sub(x.im, y.im)};
      Complex d{sub(x.re, y.re), add(x.im, y.im)};
      auto [re, im] = getRoot(k, size);
      odd[k] = {addProduct(scale(d.re, re), d.im, im),
                addProduct(scale(d.im, re), d.re, -im)};
    }
  }
  if (size == 2)
    return {even[0].re, odd[0].re};
  Reals e = inverse(even, size / 2), o = inverse(odd, size / 2), result;
  for (int64_t i = 0; i < size / 2; ++i)
    result.append({e[i], o[i]});
  return result;
}

FourierTransform::Complexes FourierTransform::inverse(ArrayRef<Complex> x) {
  int64_t size = x.size();
  if (size == 1)
    return {x[0]};
  Complexes even(size / 2), odd(size / 2), result;
  for (int64_t k = 0; k < size / 2; ++k) {
    Complex p = x[k], q = x[k + size / 2];
    even[k] = {add(p.re, q.re), add(p.im, q.im)};
    Complex d{sub(p.re, q.re), sub(p.im, q.im)};
    auto [re, im] = getRoot(k, size);
    if (k == 0)
      odd[k] = d;
    else if (4 * k == size)
      odd[k] = {negate(d.im), d.re};
    else
      odd[k] = {addProduct(scale(d.re, re), d.im, im),
                addProduct(scale(d.im, re), d.re, -im)};
  }
  Complexes e = inverse(ArrayRef<Complex>(even)),
            o = inverse(ArrayRef<Complex>(odd));
  for (int64_t i = 0; i < size / 2; ++i)
    result.append({e[i], o[i]});
  return result;
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

Value TileTransform::constant(int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

Value TileTransform::addTo(Value x, int64_t y) {
  return y ? b.createOrFold<arith::AddIOp>(x, constant(y)) : x;
}

Value TileTransform::times(Value x, int64_t y) {
  return b.createOrFold<arith::MulIOp>(x, constant(y));
}

void TileTransform::emitFor(Value upper, function_ref<void(Value)> body) {
  std::optional<int64_t> known = getConstantIntValue(upper);
  if (known && *known <= 0)
    return;
  if (known == 1)
    return body(constant(0));
  auto loop = scf::ForOp::create(b, constant(0), upper, constant(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

/// The half of a spectrum whose real numbers come first.
static SmallVector<Value> flatten(ArrayRef<Complex> half) {
  SmallVector<Value> values{half.front().re};
  if (half.size() == 1)
    return values;
  values.push_back(half.back().re);
  for (Complex x : half.drop_front().drop_back())
    values.append({x.re, x.im});
  return values;
}

static SmallVector<Complex> unflatten(ArrayRef<Value> values) {
  SmallVector<Complex> half{{values[0], {}}};
  for (size_t i = 2; i < values.size(); i += 2)
    half.push_back({values[i], values[i + 1]});
  if (values.size() > 1)
    half.push_back({values[1], {}});
  return half;
}

int64_t TileTransform::getSlot(int64_t number, int64_t &step) const {
  int64_t height = layout.height, complexes = layout.realColumns();
  step = slots == Slots::Planes ? layout.complexPlanes() : 2 * height;
  if (number < complexes)
    return number * (slots == Slots::Planes ? layout.realPlanes() : height);
  int64_t base =
      slots == Slots::Planes ? layout.complexBase() : complexes * height;
  // The columns of re and im of one complex column follow each other.
  return base + (number - complexes) / 2 * step +
         (number - complexes) % 2 * height;
}

void TileTransform::transformLines(int64_t lines, const Memory &memory,
                                   LoadLine loadLine) {
  emitFor(constant(lines), [&](Value i) {
    SmallVector<Value> values = flatten(math.forward(loadLine(i)));
    int64_t step;
    for (auto [number, value] : llvm::enumerate(values))
      memory.store(addTo(i, getSlot(number, step)), value);
  });
}

void TileTransform::restoreLines(Value lines, const Memory &memory,
                                 StoreLine storeLine) {
  emitFor(lines, [&](Value i) {
    SmallVector<Value> values;
    int64_t step;
    for (int64_t number = 0; number < layout.width; ++number)
      values.push_back(memory.load(addTo(i, getSlot(number, step))));
    storeLine(i, math.inverse(unflatten(values), layout.width));
  });
}

void TileTransform::emitColumns(RealColumn real, ComplexColumn complex) {
  int64_t step;
  for (int64_t q = 0; q < layout.realColumns(); ++q)
    real(constant(getSlot(q, step)), constant(q * layout.realPlanes()));
  int64_t first = getSlot(layout.realColumns(), step);
  emitFor(constant(layout.complexColumns()), [&](Value k) {
    complex(addTo(times(k, step), first),
            addTo(times(k, layout.complexPlanes()), layout.complexBase()));
  });
}

/// Where the number f of the half spectrum of a real column lies in it.
static int64_t planeOf(int64_t f, int64_t height, int64_t pair) {
  return f == 0 ? 0 : 2 * f == height ? 1 : 2 + pair * (f - 1);
}

void TileTransform::putReal(ArrayRef<Value> column, Value plane, Put put) {
  for (auto [f, value] : llvm::enumerate(math.forward(column)))
    put(addTo(plane, planeOf(f, layout.height, layout.pair)), value);
}

SmallVector<Value> TileTransform::getReal(Value plane, Get get) {
  SmallVector<Complex> half;
  for (int64_t f = 0; f <= layout.height / 2; ++f)
    half.push_back(get(addTo(plane, planeOf(f, layout.height, layout.pair)),
                       f == 0 || 2 * f == layout.height));
  return math.inverse(half, layout.height);
}

SmallVector<Value> TileTransform::loadColumn(const Memory &memory, Value slot,
                                             int64_t lines) {
  SmallVector<Value> column(layout.height);
  for (int64_t i = 0; i < lines; ++i)
    column[i] = memory.load(addTo(slot, i));
  return column;
}

void TileTransform::storeColumn(const Memory &memory, Value slot,
                                ArrayRef<Value> column, int64_t lines) {
  for (int64_t i = 0; i < lines; ++i)
    memory.store(addTo(slot, i), column[i]);
}

static SmallVector<Complex> join(ArrayRef<Value> re, ArrayRef<Value> im) {
  SmallVector<Complex> values;
  for (auto [x, y] : llvm::zip_equal(re, im))
    values.push_back({x, y});
  return values;
}

static std::array<SmallVector<Value>, 2> split(ArrayRef<Complex> values) {
  std::array<SmallVector<Value>, 2> parts;
  for (Complex value : values) {
    parts[0].push_back(value.re);
    parts[1].push_back(value.im);
  }
  return parts;
}

void TileTransform::forward(int64_t lines, LoadLine loadLine,
                            const Memory &memory, Put put) {
  if (layout.height == 1) {
    // A line is a column of one: its numbers go where they belong.
    SmallVector<Complex> half = math.forward(loadLine(constant(0)));
    for (auto [f, value] : llvm::enumerate(half))
      put(constant(planeOf(f, layout.width, layout.pair)), value);
    return;
  }
  transformLines(lines, memory, loadLine);
  emitColumns(
      [&](Value slot, Value plane) {
        putReal(loadColumn(memory, slot, lines), plane, put);
      },
      [&](Value slot, Value plane) {
        SmallVector<Value> re = loadColumn(memory, slot, lines);
        SmallVector<Value> im =
            loadColumn(memory, addTo(slot, layout.height), lines);
        for (auto [f, value] :
             llvm::enumerate(math.forward(ArrayRef<Complex>(join(re, im)))))
          put(addTo(plane, layout.pair * f), value);
      });
}

void TileTransform::inverse(Get get, Value lines, int64_t most,
                            const Memory &memory, StoreLine storeLine) {
  if (layout.height == 1) {
    SmallVector<Complex> half;
    for (int64_t f = 0; f <= layout.width / 2; ++f)
      half.push_back(get(constant(planeOf(f, layout.width, layout.pair)),
                         f == 0 || 2 * f == layout.width));
    return storeLine(constant(0), math.inverse(half, layout.width));
  }
  emitColumns(
      [&](Value slot, Value plane) {
        storeColumn(memory, slot, getReal(plane, get), most);
      },
      [&](Value slot, Value plane) {
        SmallVector<Complex> column;
        for (int64_t f = 0; f < layout.height; ++f)
          column.push_back(get(addTo(plane, layout.pair * f), false));
        auto parts = split(math.inverse(ArrayRef<Complex>(column)));
        storeColumn(memory, slot, parts[0], most);
        storeColumn(memory, addTo(slot, layout.height), parts[1], most);
      });
  restoreLines(lines, memory, storeLine);
}

void TileTransform::filter(LoadLine loadLine, const Memory &memory,
                           Multiply multiply, Value lines, int64_t most,
                           StoreLine storeLine) {
  auto multiplyHalf = [&](SmallVector<Complex> half, Value plane,
                          int64_t size) {
    for (auto [f, value] : llvm::enumerate(half))
      value = multiply(addTo(plane, planeOf(f, size, layout.pair)), value);
    return math.inverse(half, size);
  };
  if (layout.height == 1)
    return storeLine(constant(0),
                     multiplyHalf(math.forward(loadLine(constant(0))),
                                  constant(0), layout.width));
  transformLines(layout.height, memory, loadLine);
  emitColumns(
      [&](Value slot, Value plane) {
        SmallVector<Value> column = loadColumn(memory, slot, layout.height);
        storeColumn(memory, slot,
                    multiplyHalf(math.forward(ArrayRef<Value>(column)), plane,
                                 layout.height),
                    most);
      },
      [&](Value slot, Value plane) {
        Value imaginary = addTo(slot, layout.height);
        SmallVector<Complex> column = math.forward(ArrayRef<Complex>(
            join(loadColumn(memory, slot, layout.height),
                 loadColumn(memory, imaginary, layout.height))));
        for (auto [f, value] : llvm::enumerate(column))
          value = multiply(addTo(plane, layout.pair * f), value);
        auto parts = split(math.inverse(ArrayRef<Complex>(column)));
        storeColumn(memory, slot, parts[0], most);
        storeColumn(memory, imaginary, parts[1], most);
      });
  restoreLines(lines, memory, storeLine);
}
