/// \file
/// The derivative of each operator that may stand under a Gradient: a row a
/// operator, in nodes of today's operator set.
#include "lib/OnnxReader/Gradient.h"

using namespace dlc::reader;

using Names = std::vector<std::string>;

//===----------------------------------------------------------------------===//
// Functions of each element
//===----------------------------------------------------------------------===//

/// The derivative with respect to x(0) is g times a factor.
template <std::string (*factor)(Derivation &)>
static Names chain(Derivation &d) {
  return {d.mul(d.g, factor(d))};
}

static std::string slopeOfRelu(Derivation &d) {
  return d.make("CastLike",
                {d.make("Greater", {d.x(0), d.number(0, d.x(0))}), d.x(0)});
}
static std::string slopeOfLeakyRelu(Derivation &d) {
  return d.make("Where", {d.make("Less", {d.x(0), d.number(0, d.x(0))}),
                          d.number(d.getFloat("alpha", 0.01f), d.x(0)),
                          d.number(1, d.x(0))});
}
static std::string slopeOfSigmoid(Derivation &d) {
  return d.mul(d.y(), d.make("Sub", {d.number(1, d.y()), d.y()}));
}
static std::string slopeOfTanh(Derivation &d) {
  return d.make("Sub", {d.number(1, d.y()), d.mul(d.y(), d.y())});
}
static std::string slopeOfExp(Derivation &d) { return d.y(); }
static std::string slopeOfLog(Derivation &d) {
  return d.make("Reciprocal", {d.x(0)});
}
static std::string slopeOfSqrt(Derivation &d) {
  return d.make("Div", {d.number(0.5, d.y()), d.y()});
}
static std::string slopeOfReciprocal(Derivation &d) {
  return d.neg(d.mul(d.y(), d.y()));
}
static std::string slopeOfAbs(Derivation &d) {
  return d.make("Sign", {d.x(0)});
}
static std::string slopeOfSin(Derivation &d) { return d.make("Cos", {d.x(0)}); }
static std::string slopeOfCos(Derivation &d) {
  return d.neg(d.make("Sin", {d.x(0)}));
}
static std::string slopeOfSoftplus(Derivation &d) {
  return d.make("Sigmoid", {d.x(0)});
}
static std::string slopeOfErf(Derivation &d) {
  std::string square = d.neg(d.mul(d.x(0), d.x(0)));
  return d.mul(d.number(1.1283791670955126, d.x(0)), d.make("Exp", {square}));
}

static Names ofIdentity(Derivation &d) { return {d.g}; }
static Names ofNeg(Derivation &d) { return {d.neg(d.g)}; }
static Names ofCast(Derivation &d) {
  return {d.isFloat(d.x(0)) ? d.make("CastLike", {d.g, d.x(0)}) : ""};
}

//===----------------------------------------------------------------------===//
// Operators that broadcast
//===----------------------------------------------------------------------===//

static Names ofSum(Derivation &d) {
  Names result;
  for (const std::string &x : d.node.input())
    result.push_back(d.sumTo(d.g, x, d.y()));
  return result;
}
static Names ofSub(Derivation &d) {
  return {d.sumTo(d.g, d.x(0), d.y()), d.sumTo(d.neg(d.g), d.x(1), d.y())};
}
static Names ofMul(Derivation &d) {
  return {d.sumTo(d.mul(d.g, d.x(1)), d.x(0), d.y()),
          d.sumTo(d.mul(d.g, d.x(0)), d.x(1), d.y())};
}
static Names ofDiv(Derivation &d) {
  std::string quotient = d.make("Div", {d.g, d.x(1)});
  return {d.sumTo(quotient, d.x(0), d.y()),
          d.sumTo(d.neg(d.mul(quotient, d.y())), d.x(1), d.y())};
}
/// x^p: p x^(p-1), and x^p log(x), which is 0 where x is.
static Names ofPow(Derivation &d) {
  std::string power = d.make("CastLike", {d.x(1), d.x(0)});
  std::string less = d.make("Sub", {power, d.number(1, d.x(0))});
  std::string first = d.mul(power, d.make("Pow", {d.x(0), less}));
  std::string second;
  if (d.isFloat(d.x(1))) {
    std::string zero = d.number(0, d.y());
    std::string isZero = d.make("Equal", {d.x(0), d.number(0, d.x(0))});
    std::string log = d.make("Log", {d.x(0)});
    std::string slope = d.make("Where", {isZero, zero, d.mul(d.y(), log)});
    second =
        d.make("CastLike", {d.sumTo(d.mul(d.g, slope), d.x(1), d.y()), d.x(1)});
  }
  return {d.sumTo(d.mul(d.g, first), d.x(0), d.y()), second};
}
static Names ofWhere(Derivation &d) {
  std::string zero = d.number(0, d.g);
  return {"", d.sumTo(d.make("Where", {d.x(0), d.g, zero}), d.x(1), d.y()),
          d.sumTo(d.make("Where", {d.x(0), zero, d.g}), d.x(2), d.y())};
}
static Names ofExpand(Derivation &d) {
  return {d.sumTo(d.g, d.x(0), d.y()), ""};
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// A B: g B^T and A^T g; vectors are matrices of one row or column.
static Names ofMatMul(Derivation &d) {
  auto rankA = d.rankOf(d.x(0)), rankB = d.rankOf(d.x(1));
  auto rank = d.rankOf(d.y());
  if (!rankA || !rankB || !rank)
    return {"", ""};
  std::string a = d.x(0), b = d.x(1), g = d.g;
  if (*rankB == 1) {
    b = d.make("Unsqueeze", {b, d.ints({1})});
    g = d.make("Unsqueeze", {g, d.ints({-1})});
    ++*rank;
  }
  if (*rankA == 1) {
    a = d.make("Unsqueeze", {a, d.ints({0})});
    g = d.make("Unsqueeze", {g, d.ints({-2})});
    ++*rank;
  }
  auto finish = [&](std::string product, std::string matrix,
                    const std::string &given, int from, int to) {
    // Batches that were repeated: the sum over all but the matrix.
    if (from > to) {
      llvm::SmallVector<int64_t> axes;
      for (int i = 0; i < from - to; ++i)
        axes.push_back(i);
      product = d.make("ReduceSum", {product, d.ints(axes)},
                       Derivation::attribute("keepdims", int64_t(0)));
    }
    if (to > 2)
      product = d.sumTo(product, matrix, matrix);
    return matrix == given ? product : d.reshapeLike(product, given);
  };
  int matrixA = std::max(*rankA, 2), matrixB = std::max(*rankB, 2);
  return {finish(d.make("MatMul", {g, d.transpose(b, matrixB)}), a, d.x(0),
                 *rank, matrixA),
          finish(d.make("MatMul", {d.transpose(a, matrixA), g}), b, d.x(1),
                 *rank, matrixB)};
}

/// alpha A' B' + beta C, where A' is A or its transpose.
static Names ofGemm(Derivation &d) {
  bool ta = d.getInt("transA", 0), tb = d.getInt("transB", 0);
  float beta = d.getFloat("beta", 1);
  auto product = [&](std::string p, bool tp, std::string q, bool tq) {
    return d.make("Gemm", {p, q},
                  {Derivation::attribute("alpha", d.getFloat("alpha", 1)),
                   Derivation::attribute("transA", int64_t(tp)),
                   Derivation::attribute("transB", int64_t(tq))});
  };
  Names result{
      ta ? product(d.x(1), tb, d.g, true) : product(d.g, false, d.x(1), !tb),
      tb ? product(d.g, true, d.x(0), ta) : product(d.x(0), !ta, d.g, false)};
  if (d.node.input_size() > 2)
    result.push_back(d.x(2).empty() ? ""
                                    : d.sumTo(d.mul(d.g, d.number(beta, d.g)),
                                              d.x(2), d.y()));
  return result;
}

//===----------------------------------------------------------------------===//
// Reductions and movers
//===----------------------------------------------------------------------===//

/// g, with the axes that a reduction took out.
static std::string restoreAxes(Derivation &d) {
  bool hasAxes = d.node.input_size() > 1 && !d.x(1).empty();
  return hasAxes && !d.getInt("keepdims", 1)
             ? d.make("Unsqueeze", {d.g, d.x(1)})
             : d.g;
}
static Names ofReduceSum(Derivation &d) {
  return {d.expandLike(restoreAxes(d), d.x(0)), ""};
}
static Names ofReduceMean(Derivation &d) {
  std::string each =
      d.make("Div", {d.make("Size", {d.x(0)}), d.make("Size", {d.y()})});
  std::string part =
      d.make("Div", {restoreAxes(d), d.make("CastLike", {each, d.g})});
  return {d.expandLike(part, d.x(0)), ""};
}
static Names ofReshape(Derivation &d) {
  return {d.reshapeLike(d.g, d.x(0)), ""};
}
static Names ofTranspose(Derivation &d) {
  const pb::AttributeProto *perm = d.find("perm");
  if (!perm)
    return {d.make("Transpose", {d.g})};
  std::vector<int64_t> inverse(perm->ints_size());
  for (int i = 0; i < perm->ints_size(); ++i)
    if (uint64_t(perm->ints(i)) < inverse.size())
      inverse[perm->ints(i)] = i;
  return {d.make("Transpose", {d.g}, Derivation::attribute("perm", inverse))};
}
/// y (g - sum(g y)).
static Names ofSoftmax(Derivation &d) {
  std::string sum =
      d.make("ReduceSum", {d.mul(d.g, d.y()), d.ints(d.getInt("axis", -1))});
  return {d.mul(d.make("Sub", {d.g, sum}), d.y())};
}
static Names ofLogSoftmax(Derivation &d) {
  std::string sum = d.make("ReduceSum", {d.g, d.ints(d.getInt("axis", -1))});
  return {d.make("Sub", {d.g, d.mul(d.make("Exp", {d.y()}), sum)})};
}
/// Steps: they and numbers that are no function of the elements.
static Names ofConstant(Derivation &d) { return Names(d.node.input_size()); }

static const llvm::StringMap<Names (*)(Derivation &)> &table() {
  static const llvm::StringMap<Names (*)(Derivation &)> rows{
      {"Abs", chain<slopeOfAbs>},
      {"Add", ofSum},
      {"Cast", ofCast},
      {"CastLike", ofCast},
      {"Ceil", ofConstant},
      {"Constant", ofConstant},
      {"ConstantOfShape", ofConstant},
      {"Cos", chain<slopeOfCos>},
      {"Div", ofDiv},
      {"Equal", ofConstant},
      {"Erf", chain<slopeOfErf>},
      {"Exp", chain<slopeOfExp>},
      {"Expand", ofExpand},
      {"Flatten", ofReshape},
      {"Floor", ofConstant},
      {"Gemm", ofGemm},
      {"Greater", ofConstant},
      {"GreaterOrEqual", ofConstant},
      {"Identity", ofIdentity},
      {"LeakyRelu", chain<slopeOfLeakyRelu>},
      {"Less", ofConstant},
      {"LessOrEqual", ofConstant},
      {"Log", chain<slopeOfLog>},
      {"LogSoftmax", ofLogSoftmax},
      {"MatMul", ofMatMul},
      {"Mul", ofMul},
      {"Neg", ofNeg},
      {"Pow", ofPow},
      {"Reciprocal", chain<slopeOfReciprocal>},
      {"ReduceMean", ofReduceMean},
      {"ReduceSum", ofReduceSum},
      {"Relu", chain<slopeOfRelu>},
      {"Reshape", ofReshape},
      {"Shape", ofConstant},
      {"Sigmoid", chain<slopeOfSigmoid>},
      {"Sign", ofConstant},
      {"Sin", chain<slopeOfSin>},
      {"Size", ofConstant},
      {"Softmax", ofSoftmax},
      {"Softplus", chain<slopeOfSoftplus>},
      {"Sqrt", chain<slopeOfSqrt>},
      {"Squeeze", ofReshape},
      {"Sub", ofSub},
      {"Sum", ofSum},
      {"Tanh", chain<slopeOfTanh>},
      {"Transpose", ofTranspose},
      {"Unsqueeze", ofReshape},
      {"Where", ofWhere},
  };
  return rows;
}

std::optional<Names> dlc::reader::derive(Derivation &d, std::string &why) {
  auto row = table().find(d.node.op_type());
  if (!d.node.domain().empty() || row == table().end()) {
    why = "dlc has no derivative of " + d.node.op_type();
    return std::nullopt;
  }
  if (row->second != ofConstant) {
    for (const std::string &value : d.node.input())
      if (!value.empty() && !d.rankOf(value)) {
        why = "the rank of '" + value + "' is not known";
        return std::nullopt;
      }
    if (!d.rankOf(d.y())) {
      why = "the rank of '" + d.y() + "' is not known";
      return std::nullopt;
    }
  }
  Names result = row->second(d);
  result.resize(d.node.input_size());
  return result;
}
