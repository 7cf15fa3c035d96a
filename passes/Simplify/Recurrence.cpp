// Reads one step of a recurrent network.

#include "passes/Simplify/Recurrence.h"

using namespace mlir;
using namespace dlc;
using namespace dlc::simplify;

namespace {

/// Reads nodes, and remembers them.
class Reader {
public:
  explicit Reader(RecurrentStep &step) : step(step) {}

  bool readRnn(onnx::NodeOp node);
  bool readLstm(onnx::NodeOp node);
  bool readGru(onnx::NodeOp node);

private:
  onnx::NodeOp take(Value value, StringRef op) {
    onnx::NodeOp node = producerOf(value, op);
    if (node)
      step.nodes.insert(node);
    return node;
  }
  bool readSum(Value value, SmallVector<RecurrentTerm> &terms,
               SmallVector<Value> &biases);
  bool readBoth(Value value);
  bool assign(ArrayRef<RecurrentTerm> terms);
  bool readElement(Value value);
  /// The part of a Split of `count` equal parts of the last axis that a value
  /// is; -1 otherwise.
  int64_t readGate(Value value, int64_t count, Value &whole);

  RecurrentStep &step;
  /// Sums that are still read: a step has few, a network may have a long chain
  /// of them.
  int budget = 16;
};

} // namespace

/// Sums of products with constants, and vectors.
bool Reader::readSum(Value value, SmallVector<RecurrentTerm> &terms,
                     SmallVector<Value> &biases) {
  if (constantOf(value)) {
    auto shape = sizesOf(value);
    if (shape->size() != 1)
      return false;
    biases.push_back(value);
    return true;
  }
  if (onnx::NodeOp add = take(value, "Add"))
    return --budget > 0 && readSum(add.getOperand(0), terms, biases) &&
           readSum(add.getOperand(1), terms, biases);
  onnx::NodeOp product = take(value, "Gemm");
  if (product) {
    Value bias = product.getInput(2);
    if (product.getInt("transA", 0) || product.getFloat("alpha", 1) != 1 ||
        product.getFloat("beta", 1) != 1 || (bias && !constantOf(bias)) ||
        (bias && !readSum(bias, terms, biases)))
      return false;
  } else {
    product = take(value, "MatMul");
  }
  if (!product)
    return false;
  Value weights = product.getOperand(1), input = product.getOperand(0);
  auto shape = sizesOf(weights);
  if (!constantOf(weights) || !shape || shape->size() != 2 ||
      rankOf(input) != 2)
    return false;
  bool isTurned = product.isOp("Gemm") && product.getInt("transB", 0);
  int64_t size = (*shape)[isTurned ? 1 : 0];
  // The input and the hidden state side by side.
  onnx::NodeOp concat = take(input, "Concat");
  if (!concat) {
    terms.push_back({input, weights, isTurned, 0, size});
    return true;
  }
  int64_t at = 0;
  for (Value part : concat.getOperands()) {
    RankedTensorType type = tensorOf(part);
    if (!type || type.getRank() != 2 || type.isDynamicDim(1) ||
        toAxis(concat.getInt("axis", 0), 2) != 1)
      return false;
    terms.push_back({part, weights, isTurned, at, at + type.getDimSize(1)});
    at += type.getDimSize(1);
  }
  return true;
}

/// Reads an element of a sequence, [length, batch, size] or with the batch
/// first: Gather, or Squeeze of a Slice or of a part of a Split.
bool Reader::readElement(Value value) {
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !node.getDomain().empty() || node.getNumOperands() < 2)
    return false;
  auto set = [&](Value sequence, int64_t axis, int64_t index) {
    step.sequence = sequence;
    step.axis = toAxis(axis, 3);
    RankedTensorType type = tensorOf(sequence);
    if (!type || type.getRank() != 3 || step.axis < 0 || step.axis > 1 ||
        type.isDynamicDim(step.axis))
      return false;
    step.index = toAxis(index, type.getDimSize(step.axis));
    return step.index >= 0;
  };
  if (node.isOp("Gather")) {
    auto index = intsOf(node.getOperand(1));
    return index && rankOf(node.getOperand(1)) == 0 &&
           set(node.getOperand(0), node.getInt("axis", 0), index->front());
  }
  auto axes = intsOf(node.getOperand(1));
  if (!node.isOp("Squeeze") || !axes || axes->size() != 1)
    return false;
  Value part = node.getOperand(0);
  auto inner = part.getDefiningOp<onnx::NodeOp>();
  if (!inner || !inner.getDomain().empty())
    return false;
  if (inner.isOp("Split")) {
    // All have a size of 1, or this could not be squeezed.
    for (Value result : inner.getResults()) {
      RankedTensorType type = tensorOf(result);
      int64_t axis = toAxis(axes->front(), 3);
      if (!type || type.getRank() != 3 || axis < 0 ||
          type.getDimSize(axis) != 1)
        return false;
    }
    return toAxis(inner.getInt("axis", 0), 3) == toAxis(axes->front(), 3) &&
           set(inner.getOperand(0), axes->front(),
               cast<OpResult>(part).getResultNumber());
  }
  auto begins = intsOf(inner.getInput(1)), at = intsOf(inner.getInput(3));
  return inner.isOp("Slice") && begins && at && at->size() == 1 &&
         toAxis(at->front(), 3) == toAxis(axes->front(), 3) &&
         set(inner.getOperand(0), axes->front(), begins->front());
}

/// Tells the product of the input from that of the hidden state.
bool Reader::assign(ArrayRef<RecurrentTerm> terms) {
  if (terms.size() != 2)
    return false;
  for (unsigned i : {0, 1})
    if (readElement(terms[i].input)) {
      step.sum.ofInput = terms[i];
      step.sum.ofHidden = terms[1 - i];
      step.hiddenBefore = terms[1 - i].input;
      return true;
    }
  return false;
}

bool Reader::readBoth(Value value) {
  SmallVector<RecurrentTerm> terms;
  return readSum(value, terms, step.sum.inputBiases) && assign(terms);
}

int64_t Reader::readGate(Value value, int64_t count, Value &whole) {
  auto split = value.getDefiningOp<onnx::NodeOp>();
  if (!split || !split.isOp("Split") || !split.getDomain().empty() ||
      int64_t(split.getNumResults()) != count || rankOf(value) != 2 ||
      toAxis(split.getInt("axis", 0), 2) != 1 ||
      (whole && whole != split.getOperand(0)))
    return -1;
  auto width = [](Value part) { return tensorOf(part).getDimSize(1); };
  for (Value result : split.getResults())
    if (rankOf(result) != 2 || ShapedType::isDynamic(width(result)) ||
        width(result) != width(split.getResult(0)))
      return -1;
  step.nodes.insert(split);
  whole = split.getOperand(0);
  return cast<OpResult>(value).getResultNumber();
}

/// h = tanh(x * w + h * r + b), or relu.
bool Reader::readRnn(onnx::NodeOp node) {
  step.op = "RNN";
  step.activation = node.isOp("Tanh") ? "Tanh" : "Relu";
  step.gates = {0};
  step.nodes.insert(node);
  return (node.isOp("Tanh") || node.isOp("Relu")) &&
         readBoth(node.getOperand(0));
}

/// c = sigmoid(f) * c + sigmoid(i) * tanh(g); h = sigmoid(o) * tanh(c).
bool Reader::readLstm(onnx::NodeOp node) {
  step.op = "LSTM";
  step.nodes.insert(node);
  if (!node.isOp("Mul"))
    return false;
  Value whole;
  for (unsigned side : {0, 1}) {
    onnx::NodeOp output = take(node.getOperand(side), "Sigmoid");
    onnx::NodeOp tanh = take(node.getOperand(1 - side), "Tanh");
    onnx::NodeOp sum = tanh ? take(tanh.getOperand(0), "Add") : tanh;
    if (!output || !sum)
      continue;
    step.cell = sum.getResult(0);
    for (unsigned kept : {0, 1}) {
      onnx::NodeOp keep = take(sum.getOperand(kept), "Mul");
      onnx::NodeOp add = take(sum.getOperand(1 - kept), "Mul");
      if (!keep || !add)
        continue;
      for (unsigned k : {0, 1})
        for (unsigned a : {0, 1}) {
          onnx::NodeOp forget = take(keep.getOperand(k), "Sigmoid");
          onnx::NodeOp input = take(add.getOperand(a), "Sigmoid");
          onnx::NodeOp candidate = take(add.getOperand(1 - a), "Tanh");
          if (!forget || !input || !candidate)
            continue;
          step.cellBefore = keep.getOperand(1 - k);
          whole = {};
          step.gates.clear();
          for (onnx::NodeOp gate : {input, output, forget, candidate})
            step.gates.push_back(readGate(gate.getOperand(0), 4, whole));
          if (!llvm::is_contained(step.gates, -1) && readBoth(whole))
            return true;
        }
    }
  }
  return false;
}

/// r, z = sigmoid(...); n = tanh(in + r * hn); h = n + z * (h - n), or
/// (1 - z) * n + z * h.
bool Reader::readGru(onnx::NodeOp node) {
  step.op = "GRU";
  step.nodes.insert(node);
  if (!node.isOp("Add"))
    return false;
  onnx::NodeOp update, candidate;
  Value before;
  for (unsigned side : {0, 1}) {
    onnx::NodeOp product = take(node.getOperand(1 - side), "Mul");
    if (!product)
      continue;
    for (unsigned p : {0, 1}) {
      onnx::NodeOp z = take(product.getOperand(p), "Sigmoid");
      if (!z)
        continue;
      onnx::NodeOp n = take(node.getOperand(side), "Tanh");
      onnx::NodeOp sub = take(product.getOperand(1 - p), "Sub");
      if (n && sub && sub.getOperand(1) == n.getResult(0)) {
        update = z, candidate = n, before = sub.getOperand(0);
        continue;
      }
      onnx::NodeOp other = take(node.getOperand(side), "Mul");
      for (unsigned o : {0, 1}) {
        onnx::NodeOp rest = other ? take(other.getOperand(o), "Sub") : other;
        onnx::NodeOp tanh =
            other ? take(other.getOperand(1 - o), "Tanh") : other;
        if (rest && tanh && isNumber(rest.getOperand(0), 1) &&
            rest.getOperand(1) == z.getResult(0))
          update = z, candidate = tanh, before = product.getOperand(1 - p);
      }
    }
  }
  if (!update)
    return false;
  onnx::NodeOp sum = take(candidate.getOperand(0), "Add");
  onnx::NodeOp both = take(update.getOperand(0), "Add");
  if (!sum || !both)
    return false;
  for (unsigned side : {0, 1}) {
    onnx::NodeOp product = take(sum.getOperand(side), "Mul");
    if (!product)
      continue;
    for (unsigned p : {0, 1}) {
      onnx::NodeOp reset = take(product.getOperand(p), "Sigmoid");
      onnx::NodeOp third =
          reset ? take(reset.getOperand(0), "Add") : onnx::NodeOp();
      if (!third)
        continue;
      Value ofInput, ofHidden;
      int64_t in = readGate(sum.getOperand(1 - side), 3, ofInput);
      int64_t hn = readGate(product.getOperand(1 - p), 3, ofHidden);
      // The gates of both products are in one order.
      auto readPair = [&](onnx::NodeOp add) -> int64_t {
        for (unsigned i : {0, 1}) {
          Value a = ofInput, b = ofHidden;
          int64_t x = readGate(add.getOperand(i), 3, a);
          int64_t h = readGate(add.getOperand(1 - i), 3, b);
          if (x >= 0 && x == h)
            return x;
        }
        return -1;
      };
      step.gates = {readPair(both), readPair(third), in};
      if (in < 0 || in != hn || llvm::is_contained(step.gates, -1))
        continue;
      SmallVector<RecurrentTerm> terms;
      return readSum(ofInput, terms, step.sum.inputBiases) &&
             terms.size() == 1 &&
             readSum(ofHidden, terms, step.sum.hiddenBiases) && assign(terms) &&
             step.sum.ofInput.input == terms[0].input &&
             step.hiddenBefore == before;
    }
  }
  return false;
}

std::optional<RecurrentStep> simplify::readRecurrentStep(onnx::NodeOp node) {
  if (!node.getDomain().empty() || node.getNumResults() != 1 ||
      rankOf(node.getResult(0)) != 2 || !isFloat(node.getResult(0)))
    return std::nullopt;
  for (auto read : {&Reader::readRnn, &Reader::readLstm, &Reader::readGru}) {
    RecurrentStep step;
    step.hidden = node.getResult(0);
    if (!(Reader(step).*read)(node))
      continue;
    // Gates are of one size, that of the state.
    // States of one row for all of a batch would have to be expanded.
    auto type = tensorOf(step.hidden);
    auto sizes = sizesOf(step.sum.ofHidden.weights);
    int64_t width = type.getDimSize(1), count = step.gates.size();
    bool fits = !ShapedType::isDynamic(width) &&
                step.hiddenBefore.getType() == type &&
                (!step.cell || step.cellBefore.getType() == type) &&
                (*sizes)[step.sum.ofHidden.isTurned ? 0 : 1] == width * count;
    SmallVector<int64_t> sorted(step.gates);
    llvm::sort(sorted);
    for (int64_t i = 0; i < count; ++i)
      fits &= sorted[i] == i;
    if (fits)
      return step;
  }
  return std::nullopt;
}
