// Random tensors. Element i is a function of the seed and i (SplitMix64, G.
// Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014), so
// that a model gives the same numbers in every run and on every target.
// Without a seed, the node's name is it. A Dropout with a seed draws what
// ONNX's reference does, from the Mersenne Twister.

#include "passes/Import/Ops/Emit.h"
#include <cmath>

using namespace mlir;
using namespace dlc;

namespace {

struct Generator {
  NodeImport &node;
  Emit e{node};
  uint64_t seed = readSeed();

  uint64_t readSeed() {
    if (node.node.hasAttribute("seed"))
      return uint64_t(int64_t(node.getFloat("seed", 0) * 1024));
    uint64_t hash = 1469598103934665603u;
    std::string text;
    llvm::raw_string_ostream(text) << node.loc;
    for (unsigned char c : text)
      hash = (hash ^ c) * 1099511628211u;
    return hash;
  }

  Num bits(uint64_t value) {
    return e.num(arith::ConstantOp::create(
        e.b, e.loc, e.b.getI64IntegerAttr(int64_t(value))));
  }
  Num shifted(Num x, int64_t by) {
    return e.num(arith::ShRUIOp::create(e.b, e.loc, x.value, bits(by).value));
  }
  Num mixed(Num x, int64_t by) {
    return e.num(
        arith::XOrIOp::create(e.b, e.loc, x.value, shifted(x, by).value));
  }

  /// The i-th number in [0, 1), in f64.
  Num uniform(Num i) {
    Num z =
        bits(seed) + e.to(i + 1, e.b.getI64Type()) * bits(0x9E3779B97F4A7C15u);
    z = mixed(z, 30) * bits(0xBF58476D1CE4E5B9u);
    z = mixed(z, 27) * bits(0x94D049BB133111EBu);
    return e.toDouble(shifted(mixed(z, 31), 11)) * 0x1p-53;
  }

  /// The i-th number of the normal distribution (Box and Muller, 1958).
  Num normal(Num i) {
    Num a = uniform(i * 2), c = uniform(i * 2 + 1);
    Num radius = e.sqrt(e.log(a.like(1) - a) * -2);
    return radius * e.cos(c * (2 * M_PI));
  }

  /// The place of the element `at` in a tensor.
  Num placeOf(ArrayRef<Num> at, ArrayRef<OpFoldResult> sizes) {
    Num i = e.index(int64_t(0));
    for (auto [place, size] : llvm::zip(at, sizes))
      i = i * e.index(size) + place;
    return i;
  }

  Value fill(ArrayRef<OpFoldResult> sizes, Type element, bool isNormal) {
    double low = node.getFloat("low", 0), high = node.getFloat("high", 1);
    double mean = node.getFloat("mean", 0), scale = node.getFloat("scale", 1);
    return e.generate(sizes, element, [&](ArrayRef<Num> at) {
      Num i = placeOf(at, sizes);
      Num value =
          isNormal ? normal(i) * scale + mean : uniform(i) * (high - low) + low;
      return e.to(value, element);
    });
  }
};

} // namespace

static ImportResult importRandom(NodeImport &node, bool isNormal) {
  Generator generator{node};
  Type type = node.inferredElementType(0);
  if (!type || !isa<FloatType>(type)) {
    node.error() << "expected a result of floats";
    return failure();
  }
  Elements sizes;
  if (auto shape = node.getInts("shape"))
    for (int64_t size : *shape)
      sizes.push_back(node.index(size));
  else if (node.hasInput(0))
    sizes = node.dims(node.input(0));
  return node.result(generator.fill(sizes, type, isNormal));
}

static ImportResult importRandomUniform(NodeImport &node) {
  return importRandom(node, /*isNormal=*/false);
}
static ImportResult importRandomNormal(NodeImport &node) {
  return importRandom(node, /*isNormal=*/true);
}

/// Draws classes by their unnormalised log-probabilities: the class whose
/// logit plus Gumbel noise is largest.
static ImportResult importMultinomial(NodeImport &node) {
  Generator g{node};
  Emit &e = g.e;
  Value x = node.input(0);
  Type element = node.inferredElementType(0);
  if (!element || node.rank(x) != 2) {
    node.error() << "expected rank 2, found " << node.rank(x);
    return failure();
  }
  int64_t samples = node.getInt("sample_size", 1);
  Elements sizes{node.dim(x, 0), node.index(samples)};
  Num classes = e.index(node.dim(x, 1)), zero = e.index(int64_t(0));
  Type f64 = node.b.getF64Type();
  Value result = e.generate(sizes, element, [&](ArrayRef<Num> at) {
    Num draw = at[0] * samples + at[1];
    Value lowest = e.constant(-1e300, f64);
    Num best = e.num(e.loop(zero, classes, {zero.value, lowest},
                            [&](Num c, ValueRange args) -> Emit::Values {
                              Num u = g.uniform(draw * classes + c) + 0x1p-60;
                              Num noise = e.log(e.log(u) * -1) * -1;
                              Num score =
                                  e.toDouble(e.load(x, {at[0], c})) + noise;
                              Num isMore = score > e.num(args[1]);
                              return {e.select(isMore, c, e.num(args[0])),
                                      e.select(isMore, score, e.num(args[1]))};
                            })[0]);
    return e.to(best, element);
  });
  return node.result(result);
}

/// 1 with the probability that the element gives, else 0.
static ImportResult importBernoulli(NodeImport &node) {
  Generator g{node};
  Emit &e = g.e;
  Value x = node.input(0);
  Type type = node.inferredElementType(0);
  if (!type)
    return failure();
  Elements sizes = node.dims(x);
  Value drawn = e.generate(sizes, node.b.getI1Type(), [&](ArrayRef<Num> at) {
    return g.uniform(g.placeOf(at, sizes)) < e.toDouble(e.load(x, at));
  });
  return node.result(node.cast(drawn, type));
}

/// In inference the identity, and the mask is all true. In training an element
/// is 0 with the probability `ratio`, and the others grow by 1 / (1 - ratio).
static ImportResult importDropout(NodeImport &node) {
  Value x = node.input(0), ratioInput = node.input(1), training = node.input(2);
  Elements sizes = node.dims(x);
  Type truth = node.b.getI1Type();
  std::optional<SmallVector<int64_t>> mode = node.constants(training);
  bool isInference = !training || (mode && mode->size() == 1 && !mode->front());
  if (isInference || (ratioInput && node.constantFloat(ratioInput) == 0.0))
    return node.results({x, node.broadcast(node.scalar(1, truth), sizes)});
  Generator g{node};
  Emit &e = g.e;
  Type f64 = node.b.getF64Type();
  Num ratio =
      ratioInput ? e.toDouble(e.loadScalar(ratioInput)) : e.constant(0.5, f64);
  ratio = e.select(e.loadScalar(training), ratio, e.constant(0, f64));
  e.check(ratio >= 0 && ratio <= 1, "expected a ratio in [0, 1]");
  Value drawn;
  if (node.node.hasAttribute("seed")) {
    Num count = e.index(1);
    for (OpFoldResult size : sizes)
      count = count * e.index(size);
    Value seed = arith::ConstantIntOp::create(node.b, node.loc,
                                              node.getInt("seed", 0), 64);
    drawn = e.call("twister", {seed, count.value},
                   RankedTensorType::get(ShapedType::kDynamic, f64))[0];
  }
  Value mask = e.generate(sizes, truth, [&](ArrayRef<Num> at) {
    Num place = g.placeOf(at, sizes);
    return (drawn ? e.load(drawn, place) : g.uniform(place)) >= ratio;
  });
  Type element = node.elementType(x);
  Num scale = e.to(ratio.like(1) / (ratio.like(1) - ratio), element);
  Value result = e.generate(sizes, element, [&](ArrayRef<Num> at) {
    Num grown = e.load(x, at) * scale;
    return e.select(e.load(mask, at), grown, grown.like(0));
  });
  return node.results({result, mask});
}

static OpRows rows{
    {"", "RandomUniform", 1, importRandomUniform},
    {"", "RandomUniformLike", 1, importRandomUniform},
    {"", "RandomNormal", 1, importRandomNormal},
    {"", "RandomNormalLike", 1, importRandomNormal},
    {"", "Multinomial", 7, importMultinomial},
    {"", "Bernoulli", 15, importBernoulli},
    {"", "Dropout", 12, importDropout, kComposition},
};
