// RNN, GRU and LSTM: one matmul over all time steps for the inputs, then a
// loop over time that carries the state.

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "passes/Import/Ops/Activations.h"
#include "passes/Import/Ops/Emit.h"
#include "passes/Import/Ops/Loops.h"

using namespace mlir;
using namespace dlc;

namespace {

/// One direction of a recurrent node while it is imported. Values are of the
/// shapes [batch, hidden] for states and [hidden] for parameters.
struct Direction {
  NodeImport &node;
  int64_t gates, hidden;
  SmallVector<Activation> functions;
  std::optional<double> clip;
  Value recurrent;            // [hidden, gates * hidden]
  Value inputBias, stateBias; // [gates * hidden], or null
  Value peepholes;            // [3 * hidden], or null

  Value add(Value x, Value y) { return node.map<AddOp>({x, y}); }
  Value mul(Value x, Value y) { return node.map<MulOp>({x, y}); }

  Value activate(unsigned i, Value x) {
    if (clip && x) {
      x = node.map<MaxOp>({x, node.scalarLike(-*clip, x)});
      x = node.map<MinOp>({x, node.scalarLike(*clip, x)});
    }
    return x ? functions[i].apply(node, x) : Value();
  }

  /// Columns of gate `begin` to `begin + count` of [batch, gates * hidden],
  /// or of [gates * hidden].
  Value gate(Value x, int64_t begin, int64_t count = 1) {
    return node.sliceAxis(x, node.rank(x) - 1, node.index(begin * hidden),
                          node.index(count * hidden));
  }

  /// One time step: `inputs` is X * W and its bias; the new states.
  SmallVector<Value> stepRnn(Value inputs, ValueRange states) {
    return {activate(0, add(inputs, matmul(states[0], recurrent)))};
  }

  Value matmul(Value x, Value y) {
    return node.matmul(x, y, node.elementType(x));
  }

  SmallVector<Value> stepGru(Value inputs, ValueRange states) {
    Value h = states[0];
    bool linearBeforeReset = node.getInt("linear_before_reset", 0);
    Value products = linearBeforeReset ? matmul(h, recurrent)
                                       : matmul(h, gate(recurrent, 0, 2));
    Value both = activate(0, add(gate(inputs, 0, 2), gate(products, 0, 2)));
    Value z = gate(both, 0), r = gate(both, 1), candidate;
    if (linearBeforeReset) {
      candidate = gate(products, 2);
      if (stateBias)
        candidate = add(candidate, gate(stateBias, 2));
      candidate = mul(r, candidate);
    } else {
      candidate = matmul(mul(r, h), gate(recurrent, 2));
    }
    candidate = activate(1, add(gate(inputs, 2), candidate));
    Value one = node.scalarLike(1, z);
    return {add(mul(node.map<SubOp>({one, z}), candidate), mul(z, h))};
  }

  SmallVector<Value> stepLstm(Value inputs, ValueRange states) {
    Value h = states[0], c = states[1];
    // The gates stand in the order input, output, forget, cell.
    Value all = add(inputs, matmul(h, recurrent));
    auto peep = [&](Value x, int64_t which, Value cell) {
      return peepholes ? add(x, mul(gate(peepholes, which), cell)) : x;
    };
    Value i = activate(0, peep(gate(all, 0), 0, c));
    Value f = node.getInt("input_forget", 0)
                  ? node.map<SubOp>({node.scalarLike(1, i), i})
                  : activate(0, peep(gate(all, 2), 2, c));
    Value candidate = activate(1, gate(all, 3));
    Value cell = add(mul(f, c), mul(i, candidate));
    Value o = activate(0, peep(gate(all, 1), 1, cell));
    Value out = cell ? functions[2].apply(node, cell) : Value();
    return {mul(o, out), cell};
  }

  SmallVector<Value> step(Value inputs, ValueRange states) {
    if (gates == 1)
      return stepRnn(inputs, states);
    return gates == 3 ? stepGru(inputs, states) : stepLstm(inputs, states);
  }
};

/// A whole RNN (one gate), GRU (three) or LSTM (four).
struct Recurrent {
  NodeImport &node;
  int64_t gates, hidden = 0, directions = 1;
  bool isReverse = false, batchFirst = false;
  Value x, lengths;
  OpFoldResult steps, batch;

  bool isLstm() const { return gates == 4; }
  unsigned functionsEach() const { return gates == 1 ? 1 : gates == 3 ? 2 : 3; }

  std::optional<SmallVector<Activation>> readActivations() {
    std::optional<SmallVector<StringRef>> names =
        node.node.getStrings("activations");
    SmallVector<Activation> result;
    size_t count = functionsEach() * directions;
    if (names && names->size() != count) {
      node.error() << "expected " << count << " activations, found "
                   << names->size();
      return std::nullopt;
    }
    std::optional<SmallVector<float>> alphas =
        node.node.getFloats("activation_alpha");
    std::optional<SmallVector<float>> betas =
        node.node.getFloats("activation_beta");
    // Functions with a parameter take the next value of the list.
    size_t nextAlpha = 0, nextBeta = 0;
    for (size_t i = 0; i < count; ++i) {
      bool isGate = gates > 1 && i % functionsEach() == 0;
      std::string name = names    ? (*names)[i].lower()
                         : isGate ? "sigmoid"
                                  : "tanh";
      Activation f{name};
      struct {
        const char *name;
        double alpha, beta;
        bool hasBeta;
      } known[] = {
          {"affine", 1, 0, true},           {"leakyrelu", 0.01, 0, false},
          {"thresholdedrelu", 1, 0, false}, {"scaledtanh", 1, 1, true},
          {"hardsigmoid", 0.2, 0.5, true},  {"elu", 1, 0, false}};
      for (const auto &entry : known) {
        if (name != entry.name)
          continue;
        f.alpha = alphas && nextAlpha < alphas->size() ? (*alphas)[nextAlpha++]
                                                       : entry.alpha;
        f.beta = entry.beta;
        if (entry.hasBeta && betas && nextBeta < betas->size())
          f.beta = (*betas)[nextBeta++];
      }
      result.push_back(f);
    }
    return result;
  }

  /// Part `d` of dimension 0 of `value`, null where that is absent.
  Value ofDirection(Value value, int64_t d) {
    return value ? takeElement(node, value, 0, node.index(d)) : Value();
  }

  /// The state of input `i` for direction `d`; zeros where it is absent.
  Value initialState(unsigned i, int64_t d) {
    Elements sizes{batch, node.index(hidden)};
    Value state = node.input(i);
    if (!state)
      return node.broadcast(node.scalarLike(0, x), sizes);
    state = takeElement(node, state, batchFirst ? 1 : 0, node.index(d));
    return node.reshape(state, sizes);
  }

  /// One direction: all hidden states [steps, batch, hidden] and the last
  /// state or states.
  std::optional<SmallVector<Value>> run(int64_t d, Direction &direction) {
    OpBuilder &b = node.b;
    Location loc = node.loc;
    Type element = node.elementType(x);
    bool backwards = isReverse || d == 1;
    int64_t columns = gates * hidden;
    Value w = node.transpose(ofDirection(node.storedInput(1), d), {1, 0});
    direction.recurrent =
        node.transpose(ofDirection(node.storedInput(2), d), {1, 0});
    if (Value bias = ofDirection(node.input(3), d)) {
      direction.inputBias =
          node.sliceAxis(bias, 0, node.index(0), node.index(columns));
      direction.stateBias =
          node.sliceAxis(bias, 0, node.index(columns), node.index(columns));
    }
    if (isLstm())
      direction.peepholes = ofDirection(node.input(7), d);
    // X * W for all steps at once.
    Value flat =
        node.reshape(x, {mulSizes(b, loc, steps, batch), node.dim(x, 2)});
    Value inputs = node.matmul(flat, w, element);
    auto addBias = [&](Value bias) {
      if (bias)
        inputs = node.map<AddOp>({inputs, bias});
    };
    addBias(direction.inputBias);
    if (gates == 3 && node.getInt("linear_before_reset", 0) &&
        direction.stateBias) {
      // The last gate's bias is added before the reset.
      Value zeros = node.broadcast(node.scalarLike(0, x), {node.index(hidden)});
      addBias(
          node.concat({direction.gate(direction.stateBias, 0, 2), zeros}, 0));
    } else {
      addBias(direction.stateBias);
    }
    inputs = node.reshape(inputs, {steps, batch, node.index(columns)});
    if (!inputs || node.hasFailed)
      return std::nullopt;

    SmallVector<Value> initial{
        emptyTensor(node, {steps, batch, node.index(hidden)}, element),
        ownCopy(node, initialState(5, d))};
    if (isLstm())
      initial.push_back(ownCopy(node, initialState(6, d)));
    if (llvm::is_contained(initial, Value()) || node.hasFailed)
      return std::nullopt;
    Value count = getValueOrCreateConstantIndexOp(b, loc, steps);
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    auto loop = scf::ForOp::create(b, loc, zero, count, one, initial);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value t = loop.getInductionVar();
    if (backwards) {
      Value last = arith::SubIOp::create(b, loc, count, one);
      t = arith::SubIOp::create(b, loc, last, t);
    }
    ValueRange carried = loop.getRegionIterArgs();
    // The sizes of the states are those of the input.
    SmallVector<Value> states;
    for (Value state : carried.drop_front())
      states.push_back(node.reshape(state, {batch, node.index(hidden)}));
    SmallVector<Value> next =
        direction.step(takeElement(node, inputs, 0, t), states);
    if (llvm::is_contained(next, Value()) || node.hasFailed)
      return std::nullopt;
    Value hiddenState = next.front();
    if (lengths) {
      // Behind the end of a sequence its state stays, and its output is 0.
      Value now = node.fromElements(OpFoldResult(t), b.getI32Type(),
                                    /*isScalar=*/true);
      Value isInside = node.unsqueeze(
          node.map<LessOp>({now, node.cast(lengths, b.getI32Type())}), {1});
      hiddenState = node.map<SelectOp>(
          {isInside, hiddenState, node.scalarLike(0, hiddenState)});
      for (auto [value, old] : llvm::zip(next, states))
        value = node.map<SelectOp>({isInside, value, old});
    }
    SmallVector<Value> yielded{
        putElement(node, hiddenState, carried.front(), 0, t)};
    for (auto [value, into] : llvm::zip(next, carried.drop_front()))
      yielded.push_back(writeInto(node, value, into));
    if (llvm::is_contained(yielded, Value()) || node.hasFailed)
      return std::nullopt;
    scf::YieldOp::create(b, loc, yielded);
    return SmallVector<Value>(loop.getResults());
  }

  /// Every input has the shape that the others and the attributes ask for, and
  /// no sequence is longer than there are steps.
  LogicalResult checkInputs() {
    OpFoldResult d = node.index(directions), h = node.index(hidden);
    OpFoldResult rows = node.index(gates * hidden);
    Elements state{d, batch, h};
    StringRef stateWords = "num_directions, batch_size, hidden_size";
    if (batchFirst) {
      std::swap(state[0], state[1]);
      stateWords = "batch_size, num_directions, hidden_size";
    }
    std::string rowWords = "num_directions, " +
                           (gates == 1 ? "" : std::to_string(gates) + " * ") +
                           "hidden_size, ";
    if (failed(node.expectShape(1, {d, rows, node.dim(x, 2)},
                                rowWords + "input_size")) ||
        failed(node.expectShape(2, {d, rows, h}, rowWords + "hidden_size")) ||
        failed(node.expectShape(3, {d, node.index(2 * gates * hidden)},
                                "num_directions, " + std::to_string(2 * gates) +
                                    " * hidden_size")) ||
        failed(node.expectShape(4, batch, "batch_size")) ||
        failed(node.expectShape(5, state, stateWords)) ||
        failed(node.expectShape(6, state, stateWords)) ||
        failed(node.expectShape(7, {d, node.index(3 * hidden)},
                                "num_directions, 3 * hidden_size")))
      return failure();
    if (lengths) {
      Emit e(node);
      e.checkRange(e.plain(lengths), e.index(int64_t(0)), e.index(steps),
                   "expected " + node.inputName(4) +
                       " from 0 to the number of steps");
    }
    return success();
  }

  ImportResult import() {
    x = node.input(0);
    lengths = node.input(4);
    Value r = node.input(2);
    if (node.rank(x) != 3 || node.rank(r) != 3) {
      node.error() << "expected inputs X and R of rank 3, found "
                   << node.rank(x) << " and " << node.rank(r);
      return failure();
    }
    hidden = node.getInt("hidden_size", node.type(r).getDimSize(2));
    StringRef name = node.getString("direction", "forward");
    directions = name == "bidirectional" ? 2 : 1;
    isReverse = name == "reverse";
    batchFirst = node.getInt("layout", 0);
    if (ShapedType::isDynamic(hidden) || hidden < 1) {
      node.error() << "expected a hidden_size of 1 or more";
      return failure();
    }
    if (batchFirst)
      x = node.transpose(x, {1, 0, 2});
    steps = node.dim(x, 0);
    batch = node.dim(x, 1);
    std::optional<SmallVector<Activation>> functions = readActivations();
    if (!functions || failed(checkInputs()))
      return failure();

    SmallVector<SmallVector<Value>> parts(isLstm() ? 3 : 2);
    for (int64_t d = 0; d < directions; ++d) {
      Direction direction{node, gates, hidden, {}, {}, {}, {}, {}, {}};
      ArrayRef<Activation> all = *functions;
      direction.functions =
          llvm::to_vector(all.slice(d * functionsEach(), functionsEach()));
      if (node.node.hasAttribute("clip"))
        direction.clip = node.getFloat("clip", 0);
      auto results = run(d, direction);
      if (!results)
        return failure();
      for (auto [i, value] : llvm::enumerate(*results)) {
        // The results' sizes are those of the input.
        Elements sizes{batch, node.index(hidden)};
        if (i == 0)
          sizes.insert(sizes.begin(), steps);
        sizes.insert(sizes.end() - 2, node.index(1));
        parts[i].push_back(node.reshape(value, sizes));
      }
    }
    SmallVector<Value> results;
    for (auto [i, values] : llvm::enumerate(parts)) {
      Value whole = node.concat(values, i == 0 ? 1 : 0);
      if (batchFirst)
        whole = i == 0 ? node.transpose(whole, {2, 0, 1, 3})
                       : node.transpose(whole, {1, 0, 2});
      results.push_back(whole);
    }
    return node.results(results);
  }
};

} // namespace

template <int64_t gates> static ImportResult importRecurrent(NodeImport &node) {
  return Recurrent{node, gates, 0, 1, false, false, {}, {}, {}, {}}.import();
}

static OpRows rows{
    {"", "RNN", 7, importRecurrent<1>, kComposition},
    {"", "GRU", 7, importRecurrent<3>, kComposition},
    {"", "LSTM", 7, importRecurrent<4>, kComposition},
};
