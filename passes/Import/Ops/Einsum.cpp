// Einsum: operands are combined from left to right, each pair by one matrix
// product (or, when nothing is summed over, one multiplication).

#include "passes/Import/Ops/Emit.h"

using namespace mlir;
using namespace dlc;

namespace {

/// A dimension's name: a letter, or 1000 + i for the i-th dimension from the
/// right of an ellipsis.
using Label = int;
using Labels = SmallVector<Label>;
constexpr Label kEllipsis = 1000;

struct Term {
  Value value;
  Labels labels;

  int64_t find(Label label) const {
    return llvm::find(labels, label) - labels.begin();
  }
  bool has(Label label) const { return llvm::is_contained(labels, label); }
};

struct Einsum {
  NodeImport &node;
  SmallVector<Term> terms;
  Labels output;
  int64_t ellipsisRank = 0;

  /// In the type that is computed in: at least f32.
  Value widen(Value x) {
    return node.cast(x, computeTypeOf(node.elementType(x)));
  }
  bool parse(StringRef equation);
  std::optional<Labels> parseTerm(StringRef text, int64_t ellipsis);
  Term diagonal(Term term);
  Term sumAway(Term term, function_ref<bool(Label)> isNeeded);
  /// The term with its dimensions in the given order.
  Value ordered(const Term &term, ArrayRef<Label> order);
  OpFoldResult product(const Term &term, ArrayRef<Label> labels);
  Term combine(Term a, Term c, function_ref<bool(Label)> isNeeded);
  Value run();
};

} // namespace

/// The labels of one operand's subscripts; `ellipsis` is the number of
/// dimensions that "..." stands for.
std::optional<Labels> Einsum::parseTerm(StringRef text, int64_t ellipsis) {
  Labels labels;
  while (!text.empty()) {
    if (text.consume_front("...")) {
      for (int64_t i = ellipsis; i > 0; --i)
        labels.push_back(kEllipsis + i);
      continue;
    }
    char c = text.front();
    text = text.drop_front();
    if (c == ' ')
      continue;
    if (!llvm::isAlpha(c)) {
      node.error() << "expected letters and '...' in the equation, found '"
                   << StringRef(&c, 1) << "'";
      return std::nullopt;
    }
    labels.push_back(c);
  }
  return labels;
}

bool Einsum::parse(StringRef equation) {
  auto [left, right] = equation.split("->");
  bool isExplicit = equation.contains("->");
  SmallVector<StringRef> parts;
  left.split(parts, ',');
  if (parts.size() != node.numInputs()) {
    node.error() << "expected an equation of " << node.numInputs()
                 << " operands, found " << parts.size();
    return false;
  }
  for (auto [i, part] : llvm::enumerate(parts)) {
    Value x = node.input(i);
    bool hasEllipsis = part.contains("...");
    std::optional<Labels> letters = parseTerm(part, 0);
    if (!letters)
      return false;
    int64_t ellipsis = node.rank(x) - int64_t(letters->size());
    if (ellipsis < 0 || (ellipsis && !hasEllipsis)) {
      node.error() << "expected operand " << i << " of rank " << letters->size()
                   << ", found " << node.rank(x);
      return false;
    }
    ellipsisRank = std::max(ellipsisRank, hasEllipsis ? ellipsis : 0);
    terms.push_back({x, *parseTerm(part, hasEllipsis ? ellipsis : 0)});
  }
  if (isExplicit) {
    std::optional<Labels> labels = parseTerm(right, ellipsisRank);
    if (!labels)
      return false;
    output = *labels;
  } else {
    // The ellipsis, then the letters that occur once, in order.
    for (int64_t i = ellipsisRank; i > 0; --i)
      output.push_back(kEllipsis + i);
    std::map<Label, int> counts;
    for (const Term &term : terms)
      for (Label label : term.labels)
        ++counts[label];
    for (auto [label, count] : counts)
      if (count == 1 && label < kEllipsis)
        output.push_back(label);
  }
  for (size_t i = 0; i < output.size(); ++i) {
    Label label = output[i];
    bool isKnown =
        llvm::any_of(terms, [&](const Term &t) { return t.has(label); });
    if (!isKnown ||
        llvm::is_contained(ArrayRef(output).drop_front(i + 1), label)) {
      node.error() << "expected each of the result's subscripts once, and in "
                      "an operand";
      return false;
    }
  }
  return true;
}

/// "ii" -> "i": the elements whose indices are equal.
Term Einsum::diagonal(Term term) {
  Term result;
  for (Label label : term.labels)
    if (!result.has(label))
      result.labels.push_back(label);
  if (result.labels.size() == term.labels.size())
    return term;
  Emit e(node);
  Elements sizes;
  for (Label label : result.labels)
    sizes.push_back(node.dim(term.value, term.find(label)));
  for (auto [i, label] : llvm::enumerate(term.labels))
    (void)node.expectEqual(node.dim(term.value, i), sizes[result.find(label)],
                           "equal sizes where a subscript is repeated");
  Value from = e.plain(term.value);
  Value picked =
      e.generate(sizes, node.elementType(from), [&](ArrayRef<Num> at) {
        SmallVector<Num> source;
        for (Label label : term.labels)
          source.push_back(at[result.find(label)]);
        return e.load(from, source);
      });
  result.value = e.typed(picked, node.elementType(term.value));
  return result;
}

Term Einsum::sumAway(Term term, function_ref<bool(Label)> isNeeded) {
  SmallVector<int64_t> axes;
  Labels kept;
  for (auto [i, label] : llvm::enumerate(term.labels)) {
    if (isNeeded(label))
      kept.push_back(label);
    else
      axes.push_back(i);
  }
  if (axes.empty())
    return term;
  Value sum = node.reduce(ReduceKind::Sum, widen(term.value), axes);
  return {node.squeeze(sum, axes), kept};
}

Value Einsum::ordered(const Term &term, ArrayRef<Label> order) {
  SmallVector<int64_t> permutation;
  for (Label label : order)
    permutation.push_back(term.find(label));
  return node.transpose(term.value, permutation);
}

OpFoldResult Einsum::product(const Term &term, ArrayRef<Label> labels) {
  OpFoldResult size = node.index(1);
  for (Label label : labels)
    size = mulSizes(node.b, node.loc, size,
                    node.dim(term.value, term.find(label)));
  return size;
}

Term Einsum::combine(Term a, Term c, function_ref<bool(Label)> isNeeded) {
  a = sumAway(a, [&](Label l) { return isNeeded(l) || c.has(l); });
  c = sumAway(c, [&](Label l) { return isNeeded(l) || a.has(l); });
  // A dimension of size 1 against a longer one broadcasts: it is taken out.
  auto takeOut = [&](Term &term, const Term &other) {
    SmallVector<int64_t> axes;
    Labels kept;
    for (auto [i, label] : llvm::enumerate(term.labels)) {
      bool repeats = other.has(label) &&
                     node.type(term.value).getDimSize(i) == 1 &&
                     node.type(other.value).getDimSize(other.find(label)) != 1;
      if (repeats)
        axes.push_back(i);
      else
        kept.push_back(label);
    }
    if (!axes.empty())
      term = {node.squeeze(term.value, axes), kept};
  };
  takeOut(a, c);
  takeOut(c, a);
  // What only one has and nobody needs, after that.
  a = sumAway(a, [&](Label l) { return isNeeded(l) || c.has(l); });
  c = sumAway(c, [&](Label l) { return isNeeded(l) || a.has(l); });
  Labels batch, summed, left, right;
  for (Label label : a.labels)
    (!c.has(label) ? left : isNeeded(label) ? batch : summed).push_back(label);
  for (Label label : c.labels)
    if (!a.has(label))
      right.push_back(label);
  auto join = [](std::initializer_list<Labels> parts) {
    Labels all;
    for (const Labels &part : parts)
      llvm::append_range(all, part);
    return all;
  };
  Term result;
  result.labels = join({batch, left, right});
  Elements sizes;
  for (Label label : result.labels)
    sizes.push_back(a.has(label) ? node.dim(a.value, a.find(label))
                                 : node.dim(c.value, c.find(label)));
  if (summed.empty()) {
    // [batch, left, 1...] * [batch, 1..., right]
    SmallVector<int64_t> ones;
    for (size_t i = 0; i < right.size(); ++i)
      ones.push_back(batch.size() + left.size() + i);
    Value x = node.unsqueeze(ordered(a, join({batch, left})), ones);
    ones.clear();
    for (size_t i = 0; i < left.size(); ++i)
      ones.push_back(batch.size() + i);
    Value y = node.unsqueeze(ordered(c, join({batch, right})), ones);
    result.value = node.map<MulOp>({widen(x), widen(y)});
    return result;
  }
  for (Label label : join({batch, summed}))
    (void)node.expectEqual(node.dim(a.value, a.find(label)),
                           node.dim(c.value, c.find(label)),
                           "operands of equal sizes where they share a "
                           "subscript");
  OpFoldResult many = product(a, batch), depth = product(a, summed);
  Value x = node.reshape(ordered(a, join({batch, left, summed})),
                         {many, product(a, left), depth});
  Value y = node.reshape(ordered(c, join({batch, summed, right})),
                         {many, depth, product(c, right)});
  Type compute = computeTypeOf(node.elementType(a.value));
  result.value = node.reshape(node.matmul(x, y, compute), sizes);
  return result;
}

Value Einsum::run() {
  for (Term &term : terms)
    term = diagonal(term);
  Term result = terms.front();
  for (size_t i = 1; i < terms.size() && !node.hasFailed; ++i) {
    auto isNeeded = [&](Label label) {
      return llvm::is_contained(output, label) ||
             llvm::any_of(ArrayRef(terms).drop_front(i + 1),
                          [&](const Term &t) { return t.has(label); });
    };
    result = combine(result, terms[i], isNeeded);
  }
  if (node.hasFailed)
    return {};
  result =
      sumAway(result, [&](Label l) { return llvm::is_contained(output, l); });
  return node.cast(ordered(result, output), node.elementType(node.input(0)));
}

static ImportResult importEinsum(NodeImport &node) {
  Einsum einsum{node, {}, {}};
  std::string equation = node.getString("equation", "").str();
  if (!einsum.parse(equation))
    return failure();
  return node.result(einsum.run());
}

static OpRows rows{{"", "Einsum", 12, importEinsum}};
