// com.microsoft's mixtures of experts: each token is seen by the few experts
// that its router rates highest.

#include "passes/Import/Ops/Activations.h"
#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Loops.h"
#include "passes/Import/Ops/Quantization.h"

using namespace mlir;
using namespace dlc;

namespace {

/// The weights of one layer of all experts, [experts, rows, columns], each row
/// with what one output is summed with.
struct ExpertLayer {
  Value weights, scales, zeros, bias;
  int64_t bits = 0, block = 0; // 0 bits: real numbers

  explicit operator bool() const { return bool(weights); }
};

struct Experts {
  NodeImport &node;
  Emit e{node};
  std::string activation = node.getString("activation_type", "relu").lower();
  bool isGated = activation == "swiglu";
  int64_t fusion = node.getInt("swiglu_fusion", 0);
  Type f32 = node.b.getF32Type();
  /// Whether the parts of a token are made to sum to 1.
  bool normalizes = node.getInt("normalize_routing_weights", 0);
  /// Two layers, and the one of the gate where it stands apart.
  ExpertLayer first{}, second{}, third{};

  LogicalResult check();
  ImportResult import(Value choice, Value share);

private:
  /// An error unless the layer has so many rows and columns for each expert.
  LogicalResult expectLayer(const ExpertLayer &layer, StringRef name,
                            OpFoldResult experts, OpFoldResult rows,
                            OpFoldResult columns);
  /// How much of each expert a token gets, [tokens, experts]: 0 but for the `k`
  /// best.
  Value route(Value choice, Value share);
  /// Rows x [n, columns] by the layer of one expert.
  Value apply(const ExpertLayer &layer, Value x, OpFoldResult expert);
  Value activate(Value x, Value linear);
  /// What an expert makes of rows.
  Value think(Value x, OpFoldResult expert);
};

} // namespace

LogicalResult Experts::check() {
  if (!llvm::is_contained({"relu", "gelu", "silu", "swiglu", "identity"},
                          activation)) {
    node.error() << "expected the activation_type relu, gelu, silu, swiglu or "
                    "identity, found '"
                 << activation << "'";
    return failure();
  }
  if (node.getInt("use_sparse_mixer", 0)) {
    node.error() << "expected no use_sparse_mixer";
    return failure();
  }
  if (isGated && (fusion < 0 || fusion > 2)) {
    node.error() << "expected a swiglu_fusion of 0, 1 or 2, found " << fusion;
    return failure();
  }
  if (isGated && (fusion == 0) != bool(third)) {
    node.error() << "expected weights of a third layer for swiglu_fusion 0 and "
                    "no other";
    return failure();
  }
  if (node.getInt("k", 1) < 1) {
    node.error() << "expected k of 1 or more, found " << node.getInt("k", 1);
    return failure();
  }
  return success();
}

LogicalResult Experts::expectLayer(const ExpertLayer &layer, StringRef name,
                                   OpFoldResult experts, OpFoldResult rows,
                                   OpFoldResult columns) {
  if (!layer)
    return success();
  auto same = [&](Value x, int64_t i, OpFoldResult size, StringRef what) {
    return node.expectEqual(node.dim(x, i), size,
                            what + " for each of " + name + "'s weights");
  };
  auto ranked = [&](Value x, int64_t rank, StringRef what) {
    if (!x || node.rank(x) == rank)
      return success();
    node.error() << "expected " << what << " of " << name << " of rank " << rank
                 << ", found rank " << node.rank(x);
    return failure();
  };
  int64_t scaled = layer.block ? 3 : 2;
  if (failed(ranked(layer.weights, 3, "weights")) ||
      failed(ranked(layer.bias, 2, "a bias")) ||
      failed(ranked(layer.scales, scaled, "scales")) ||
      failed(ranked(layer.zeros, scaled, "zero points")) ||
      failed(same(layer.weights, 0, experts, "an expert")) ||
      failed(same(layer.weights, 1, rows, "a row")))
    return failure();
  int64_t perByte = layer.bits ? 8 / layer.bits : 1;
  Num held = e.index(node.dim(layer.weights, 2)) * double(perByte);
  if (failed(node.expectEqual(e.fold(held), columns,
                              "a column for each input of " + name)))
    return failure();
  if (layer.bias && (failed(same(layer.bias, 0, experts, "a bias")) ||
                     failed(same(layer.bias, 1, rows, "a bias"))))
    return failure();
  if (!layer.scales)
    return success();
  if (failed(same(layer.scales, 0, experts, "a scale")) ||
      failed(same(layer.scales, 1, rows, "a scale")))
    return failure();
  Num blocks = layer.block ? e.index(columns) / double(layer.block)
                           : e.index(int64_t(1));
  if (layer.block) {
    if (failed(node.expectEqual(e.fold(blocks * double(layer.block)), columns,
                                "columns of " + name +
                                    " that are whole blocks")) ||
        failed(same(layer.scales, 2, e.fold(blocks), "a scale")))
      return failure();
  }
  if (!layer.zeros)
    return success();
  // They are packed along the last dimension.
  Num count = layer.block ? blocks : e.index(rows);
  Num bytes = (count * double(layer.bits) + 7) / 8;
  if (failed(same(layer.zeros, 0, experts, "a zero point")) ||
      (layer.block && failed(same(layer.zeros, 1, rows, "a zero point"))) ||
      failed(same(layer.zeros, layer.block ? 2 : 1, e.fold(bytes),
                  "a zero point")))
    return failure();
  return success();
}

Value Experts::route(Value choice, Value share) {
  Elements sizes = node.dims(choice);
  int64_t k = node.getInt("k", 1);
  Value odds = e.plain(choice);
  Value parts = e.plain(share);
  // An expert is chosen where fewer than k are better: of equal ones the last.
  Value chosen = e.generate(sizes, f32, [&](ArrayRef<Num> at) -> Value {
    Num mine = e.load(odds, at), zero = e.index(int64_t(0));
    Num better = e.sum(sizes[1], node.b.getI64Type(), [&](ArrayRef<Num> other) {
      Num its = e.load(odds, {at[0], other[0]});
      Num isBetter = its > mine || (its == mine && other[0] > at[1]);
      return e.to(e.select(isBetter, zero + 1, zero), node.b.getI64Type());
    });
    Num part = e.load(parts, at);
    return e.select(better < double(k), part, part.like(0)).value;
  });
  if (!normalizes)
    return chosen;
  Value total = node.reduce(ReduceKind::Sum, chosen, {1});
  return node.map<DivOp>({chosen, total});
}

Value Experts::apply(const ExpertLayer &layer, Value x, OpFoldResult expert) {
  Value w = takeElement(node, layer.weights, 0, expert);
  if (layer.bits) {
    w = node.cast(unpackBits(node, w, layer.bits), f32);
    Value scale = node.cast(takeElement(node, layer.scales, 0, expert), f32);
    Value zero = node.scalar(int64_t(1) << (layer.bits - 1), f32);
    if (layer.zeros) {
      zero = unpackBits(node, takeElement(node, layer.zeros, 0, expert),
                        layer.bits);
      int64_t last = node.rank(zero) - 1;
      zero = node.cast(
          node.sliceAxis(zero, last, node.index(0), node.dims(scale).back()),
          f32);
    }
    Elements whole = node.dims(w);
    if (layer.block) {
      Elements blocks = node.dims(scale);
      blocks.push_back(node.index(layer.block));
      w = node.reshape(w, blocks);
    }
    int64_t behind = node.rank(scale);
    scale = node.unsqueeze(scale, {behind});
    if (zero && node.rank(zero))
      zero = node.unsqueeze(zero, {behind});
    w = node.map<MulOp>({node.map<SubOp>({w, zero}), scale});
    w = w ? node.reshape(w, whole) : w;
  }
  if (!w)
    return {};
  Value y = node.matmul(x, node.transpose(w, {1, 0}), f32);
  if (y && layer.bias)
    y = node.map<AddOp>(
        {y, node.cast(takeElement(node, layer.bias, 0, expert), f32)});
  return y;
}

Value Experts::activate(Value x, Value linear) {
  auto number = [&](double value) { return node.scalar(value, f32); };
  if (isGated) {
    double alpha = node.getFloat("activation_alpha", 1);
    double beta = node.getFloat("activation_beta", 0);
    double limit = node.getFloat("swiglu_limit", INFINITY);
    bool isLate = node.getInt("swiglu_limit_after_activation", 0);
    auto atMost = [&](Value value) {
      return std::isinf(limit) ? value
                               : node.map<MinOp>({value, number(limit)});
    };
    if (!isLate)
      x = atMost(x);
    linear = atMost(linear);
    if (!std::isinf(limit))
      linear = node.map<MaxOp>({linear, number(-limit)});
    Value gate =
        Activation{"sigmoid"}.apply(node, node.map<MulOp>({x, number(alpha)}));
    x = node.map<MulOp>({x, gate});
    if (isLate)
      x = atMost(x);
    return node.map<MulOp>({x, node.map<AddOp>({linear, number(beta)})});
  }
  if (activation == "silu") {
    x = node.map<MulOp>({x, Activation{"sigmoid"}.apply(node, x)});
  } else if (activation == "gelu") { // by tanh
    Value cube = node.map<MulOp>({node.map<MulOp>({x, x}), x});
    Value inner =
        node.map<AddOp>({x, node.map<MulOp>({cube, number(0.044715)})});
    inner = node.map<MulOp>({inner, number(0.7978845608028654)});
    Value step = Activation{"tanh"}.apply(node, inner);
    x = node.map<MulOp>({node.map<MulOp>({x, number(0.5)}),
                         node.map<AddOp>({step, number(1)})});
  } else if (activation == "relu") {
    x = Activation{"relu"}.apply(node, x);
  }
  return linear ? node.map<MulOp>({x, linear}) : x;
}

Value Experts::think(Value x, OpFoldResult expert) {
  Value hidden = apply(first, x, expert);
  if (!hidden)
    return {};
  Value linear = third ? apply(third, x, expert) : Value();
  if (isGated && !third) {
    // The gate and what it opens stand side by side, or one after the other.
    OpFoldResult rows = node.dim(hidden, 0);
    OpFoldResult half = e.fold(e.index(node.dim(hidden, 1)) / 2);
    Elements pairs{rows, half, half};
    int64_t axis = fusion == 1 ? 2 : 1;
    pairs[axis] = node.index(2);
    Value both = node.reshape(hidden, pairs);
    auto take = [&](int64_t i) {
      Value part = node.sliceAxis(both, axis, node.index(i), node.index(1));
      return node.squeeze(part, {axis});
    };
    linear = take(1);
    hidden = take(0);
  }
  return apply(second, activate(hidden, linear), expert);
}

ImportResult Experts::import(Value choice, Value share) {
  Value x = node.input(0);
  int64_t rank = node.rank(x);
  if ((rank != 2 && rank != 3) || node.rank(choice) != 2 ||
      node.rank(first.weights) != 3 || node.rank(second.weights) != 3) {
    node.error()
        << "expected tokens of rank 2 or 3, odds of rank 2 and weights "
           "of rank 3, found "
        << node.type(x) << ", " << node.type(choice) << ", "
        << node.type(first.weights) << " and " << node.type(second.weights);
    return failure();
  }
  Elements sizes = node.dims(x);
  OpFoldResult width = sizes.back(), tokens = sizes.front();
  if (rank == 3)
    tokens = mulSizes(node.b, node.loc, sizes[0], sizes[1]);
  OpFoldResult experts = node.dim(first.weights, 0);
  OpFoldResult wide = node.dim(first.weights, 1);
  bool isPaired = isGated && !third;
  OpFoldResult inner = isPaired ? e.fold(e.index(wide) / 2) : wide;
  if (isPaired &&
      failed(node.expectEqual(e.fold(e.index(inner) * 2), wide,
                              "an even number of rows of fc1's weights")))
    return failure();
  if (failed(node.expectShape(1, {tokens, experts}, "tokens, experts")) ||
      failed(expectLayer(first, "fc1", experts, wide, width)) ||
      failed(expectLayer(second, "fc2", experts, width, inner)) ||
      failed(expectLayer(third, "fc3", experts, inner, width)))
    return failure();
  Value rows = node.reshape(x, {tokens, width});
  Value weights = route(choice, share);
  if (!rows || !weights)
    return failure();
  Type i64 = node.b.getI64Type();
  Num zero = e.index(int64_t(0));
  Value y = e.loop(
      zero, e.index(experts),
      ownCopy(node, e.filled({tokens, width}, e.constant(0, f32))),
      [&](Num expert, ValueRange sums) -> Emit::Values {
        // Its tokens, in order.
        Emit::Values mine = e.loop(
            zero, e.index(tokens), {zero.value, e.empty(tokens, i64)},
            [&](Num token, ValueRange found) -> Emit::Values {
              Num part = e.load(weights, {token, expert});
              return e.ifThen(part > 0, found, [&]() -> Emit::Values {
                Num count = e.num(found[0]);
                return {count + 1, e.store(e.to(token, i64), found[1], count)};
              });
            });
        OpFoldResult count = mine[0];
        return e.ifThen(e.num(mine[0]) > 0, sums, [&]() -> Emit::Values {
          Value places = node.sliceAxis(mine[1], 0, node.index(0), count);
          Value taken = node.infer<GatherOp>(rows, places, int64_t(0));
          Value thought = think(taken, e.fold(expert));
          if (!thought)
            return {sums[0]};
          return e.nest({count, width}, sums,
                        [&](ArrayRef<Num> at, ValueRange into) -> Emit::Values {
                          Num token = e.toIndex(e.load(places, at[0]));
                          Num part = e.load(weights, {token, expert});
                          Num sum = e.load(into[0], {token, at[1]}) +
                                    e.load(thought, at) * part;
                          return {e.store(sum, into[0], {token, at[1]})};
                        });
        });
      })[0];
  if (node.hasFailed)
    return failure();
  return node.result(node.reshape(y, sizes));
}

/// The odds of every expert, of the router's numbers.
static Value toOdds(NodeImport &node, Value router) {
  return node.infer<SoftmaxOp>(node.cast(router, node.b.getF32Type()),
                               int64_t(1));
}

/// Inputs: tokens, the router's numbers, weights and bias of three layers.
static ImportResult importMoE(NodeImport &node) {
  Experts experts{node};
  auto layer = [&](unsigned i) {
    return ExpertLayer{node.storedInput(i), {}, {}, node.input(i + 1)};
  };
  experts.first = layer(2);
  experts.second = layer(4);
  experts.third = layer(6);
  if (failed(experts.check()))
    return failure();
  Value odds = toOdds(node, node.input(1));
  if (!odds)
    return failure();
  return experts.import(odds, odds);
}

/// Inputs: tokens, the router's numbers, weights, scales and bias of three
/// layers, their zero points, and what tokens get of each expert.
static ImportResult importQMoE(NodeImport &node) {
  Experts experts{node};
  StringRef kind = node.getString("quant_type", "int");
  int64_t block = std::max<int64_t>(node.getInt("block_size", 0), 0);
  if (kind != "int") {
    node.error() << "expected the quant_type int, found '" << kind << "'";
    return failure();
  }
  if (block && (block < 16 || (block & (block - 1)))) {
    node.error() << "expected a block_size that is a power of 2 of at least "
                    "16, found "
                 << block;
    return failure();
  }
  ExpertLayer *layers[] = {&experts.first, &experts.second, &experts.third};
  for (auto [i, layer] : llvm::enumerate(layers)) {
    std::string name = "fc" + std::to_string(i + 1) + "_expert_weight_bits";
    int64_t bits = node.getInt(name, node.getInt("expert_weight_bits", 4));
    unsigned at = 2 + 3 * i;
    if (!node.hasInput(at))
      continue;
    if (bits != 2 && bits != 4 && bits != 8) {
      node.error() << "expected weights of 2, 4 or 8 bits, found " << bits;
      return failure();
    }
    if (!node.elementType(node.input(at)).isUnsignedInteger(8) ||
        !node.hasInput(at + 1)) {
      node.error() << "expected weights packed in ui8, and their scales";
      return failure();
    }
    *layer = {node.storedInput(at),
              node.input(at + 1),
              node.input(11 + i),
              node.input(at + 2),
              bits,
              block};
  }
  if (failed(experts.check()))
    return failure();
  Value odds = toOdds(node, node.input(1));
  Value share = node.hasInput(14) ? node.input(14) : odds;
  // ONNX Runtime's softmax is that of the chosen experts, whatever the
  // attribute says.
  experts.normalizes |= !node.hasInput(14);
  if (!odds || !share ||
      failed(node.expectShape(14, node.dims(odds), "tokens, experts")))
    return failure();
  return experts.import(odds, share);
}

static OpRows rows{
    {"com.microsoft", "MoE", 1, importMoE, kComposition},
    {"com.microsoft", "QMoE", 1, importQMoE, kComposition},
};
