// The form of each convolution, direct, Winograd's or Fourier's, by a model of
// its cost.

#include "dialects/Dlc/Dlc.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Remarks.h"
#include "passes/Tensor/Constants.h"
#include "passes/Tensor/ConvolutionCost.h"
#include "passes/Tensor/Passes.h"
#include "passes/WinogradScratch.h"
#include "llvm/Support/FormatVariadic.h"

namespace dlc {
#define GEN_PASS_DEF_CHOOSECONVOLUTION
#include "passes/Tensor/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

static constexpr StringLiteral kPass = "dlc-choose-convolution";

namespace {

/// A convolution that can take a form by transforms.
struct Candidate {
  ContractOp op;
  WinogradAttr form;
  double direct; // cycles
  double gain;   // what the form saves of them
  int64_t bytes; // by which the weights grow
};

/// What --conv asks for.
struct Wanted {
  bool winograd = false, fourier = false, isAuto = false;
  /// Outputs of a tile, or a tile's inputs; 0: whatever is best.
  int64_t height = 0, width = 0, tiles = 0;

  static std::optional<Wanted> parse(StringRef form);
};

struct ChooseConvolutionPass
    : dlc::impl::ChooseConvolutionBase<ChooseConvolutionPass> {
  using ChooseConvolutionBase::ChooseConvolutionBase;

  void runOnOperation() override;

private:
  std::string findObstacle(ContractOp op,
                           const std::optional<ConvolutionSizes> &sizes);
  std::string explainMissing(const ConvolutionSizes &sizes);
  void remarkDirect(ContractOp op, const Twine &why);
  std::optional<Candidate> examine(ContractOp op, bool lists);
  SmallVector<Candidate> findCandidates();
  void apply(const Candidate &candidate);
  int64_t findRoom();

  Wanted wanted;
  KnownConstants constants;
  ConvolutionCost cost;
};

} // namespace

std::optional<Wanted> Wanted::parse(StringRef form) {
  Wanted wanted;
  auto [name, sizes] = form.split('-');
  wanted.isAuto = name == "auto";
  wanted.winograd = wanted.isAuto || name == "winograd";
  wanted.fourier = wanted.isAuto || name == "fft";
  if (!wanted.winograd && !wanted.fourier && name != "direct")
    return std::nullopt;
  if (sizes.empty() && !form.contains('-'))
    return wanted;
  SmallVector<StringRef> parts;
  sizes.split(parts, 'x');
  if (wanted.isAuto || name == "direct" || parts.size() < 2 || parts.size() > 3)
    return std::nullopt;
  int64_t *numbers[] = {&wanted.height, &wanted.width, &wanted.tiles};
  for (auto [part, number] : llvm::zip(parts, numbers))
    if (part.getAsInteger(10, *number) || *number < 1 || *number > 1024)
      return std::nullopt;
  return wanted;
}

bool dlc::isConvolutionForm(StringRef form) {
  return Wanted::parse(form).has_value();
}

/// The dimension of B that is the iteration dimension `dim`; panels have the
/// columns only.
static int64_t getPosition(ContractOp op, unsigned dim) {
  return *op.getBMap().getResultPosition(
      getAffineDimExpr(dim, op.getContext()));
}

/// B's type when its windows have become tiles.
static RankedTensorType getTileType(ContractOp op, WinogradAttr form) {
  ContractOp::Convolution conv = *op.getConvolution();
  auto type = cast<RankedTensorType>(op.getB().getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[getPosition(op, conv.windowY)] = form.getProductHeight();
  shape[getPosition(op, conv.windowX)] = form.getProductWidth();
  return type.clone(shape);
}

static std::string describe(WinogradAttr form) {
  if (form.isFourier())
    return llvm::formatv("fft-{0}x{1}", form.getTileHeight(),
                         form.getTileWidth());
  return llvm::formatv("winograd-{0}x{1}", form.getHeight(), form.getWidth());
}

/// All forms with their cycles, the cheapest first.
static std::string list(double direct, SmallVector<ConvolutionForm> forms) {
  std::string text = llvm::formatv("cycles: direct {0:f0}", direct);
  llvm::stable_sort(
      forms, [](const auto &a, const auto &b) { return a.cycles < b.cycles; });
  for (const ConvolutionForm &form : forms)
    text += llvm::formatv(", {0} {1:f0}", describe(form.attr), form.cycles);
  return text;
}

/// True if A is read by positions and a window, whatever its size and stride.
static bool hasWindow(ContractOp op) {
  auto isFunctionOf = [&](AffineExpr expr, ContractOp::DimKind kind) {
    return llvm::any_of(op.getDims(kind), [&](unsigned dim) {
      return expr.isFunctionOfDim(dim);
    });
  };
  return llvm::any_of(op.getAMap().getResults(), [&](AffineExpr expr) {
    return isFunctionOf(expr, ContractOp::DimKind::Row) &&
           isFunctionOf(expr, ContractOp::DimKind::Sum);
  });
}

/// Why a convolution has no form by transforms at all; empty where it may.
std::string ChooseConvolutionPass::findObstacle(
    ContractOp op, const std::optional<ConvolutionSizes> &sizes) {
  auto isF32 = [](Type type) { return getElementTypeOrSelf(type).isF32(); };
  if (!isF32(op.getA().getType()) || !isF32(op.getB().getType()) ||
      !op.getSumType().isF32())
    return "it is not one of float32";
  if (!constants.contains(op.getB()))
    return "its weights are not constant";
  if (!op.getConvolution())
    return "its stride is not 1";
  if (!sizes)
    return "its channels are not known";
  if (sizes->windows() == 1)
    return "its window is 1 x 1";
  return "";
}

/// Why a convolution that may have a form lacks the one that is asked for.
std::string
ChooseConvolutionPass::explainMissing(const ConvolutionSizes &sizes) {
  std::string window =
      llvm::formatv("{0} x {1}", sizes.windowHeight, sizes.windowWidth);
  if (wanted.winograd && sizes.isDepthwise())
    return "it goes channel by channel";
  if (wanted.winograd)
    return llvm::formatv("a tile has at most {0} x {0} inputs, and the window "
                         "is {1}",
                         kMaxWinogradTile, window);
  if (!sizes.dilation.isNone())
    return "its window is dilated";
  if (sizes.isVolume && sizes.isDepthwise())
    return "it goes channel by channel through a volume";
  if (!wanted.height)
    return "no tile fits the map and the window";
  return llvm::formatv(
      "a tile has a power of two of inputs along each side, "
      "more than the window's {0}, and at most {1}",
      window, sizes.isDepthwise() ? kMaxFourierDepthwise : kMaxFourierTile);
}

/// Where a form is asked for: a convolution takes no other in silence.
void ChooseConvolutionPass::remarkDirect(ContractOp op, const Twine &why) {
  if (!wanted.isAuto && !mark)
    remarkMissed(op->getLoc(), kPass) << mlir::remark::add(
        "direct: there is no {0}, since {1}", form.getValue(), why.str());
}

/// With `lists`, says what all forms cost.
std::optional<Candidate> ChooseConvolutionPass::examine(ContractOp op,
                                                        bool lists) {
  if (!op.hasTensors() || op.getWinogradAttr() || !hasWindow(op))
    return std::nullopt;
  std::optional<ConvolutionSizes> sizes = ConvolutionSizes::get(op);
  if (std::string why = findObstacle(op, sizes); !why.empty()) {
    remarkDirect(op, why);
    return std::nullopt;
  }
  SmallVector<ConvolutionForm> forms;
  if (!wanted.height)
    forms = cost.getForms(&getContext(), *sizes);
  else if (std::optional<ConvolutionForm> form =
               cost.getForm(&getContext(), *sizes, wanted.fourier,
                            wanted.height, wanted.width, wanted.tiles))
    forms.push_back(*form);
  Candidate best{op, {}, cost.getDirect(*sizes) / speed, 0, 0};
  if (lists && wantsRemarks(&getContext()))
    remarkAnalysed(op->getLoc(), kPass) << list(best.direct, forms);
  double least = 0;
  for (const ConvolutionForm &form : forms) {
    // A form that is asked for may be the least exact one.
    if ((wanted.isAuto && form.error > error) ||
        !(form.attr.isFourier() ? wanted.fourier : wanted.winograd))
      continue;
    // One that errs more has to be better by more than the model's own error.
    constexpr double kExact = 10, kHandicap = 1.2;
    double cycles =
        form.cycles * (wanted.isAuto && form.error > kExact ? kHandicap : 1);
    if (best.form && cycles >= least)
      continue;
    least = cycles;
    best.gain = best.direct - form.cycles;
    best.form = form.attr;
  }
  if (!best.form) {
    remarkDirect(op, explainMissing(*sizes));
    return std::nullopt;
  }
  best.bytes = getConstantBytes(getTileType(op, best.form)) -
               getConstantBytes(op.getB().getType());
  return best;
}

/// Replaces B by its transform.
void ChooseConvolutionPass::apply(const Candidate &candidate) {
  ContractOp op = candidate.op;
  ContractOp::Convolution conv = *op.getConvolution();
  OpBuilder b(&getContext());
  b.setInsertionPointAfterValue(op.getB());
  RankedTensorType type = getTileType(op, candidate.form);
  Location loc = op.getB().getLoc();
  Value empty =
      tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  auto weights = WinogradWeightsOp::create(
      b, loc, type, op.getB(), empty, getPosition(op, conv.windowY),
      getPosition(op, conv.windowX), candidate.form);
  weights->setAttr(kExpandAttr, b.getUnitAttr());
  op.getBMutable().assign(weights.getResult());
  op.setWinogradAttr(candidate.form);
  op->removeDiscardableAttr(kTransformedAttr);
}

/// The largest operands of a contraction are what a run's memory is planned
/// for, at least; scratch beside them would be on top. Where there is a single
/// convolution, it may be: nothing else is to gain.
int64_t ChooseConvolutionPass::findRoom() {
  int64_t largest = 0, convolutions = 0;
  getOperation()->walk([&](ContractOp op) {
    int64_t bytes = getConstantBytes(op.getA().getType()) +
                    getConstantBytes(op.getInit().getType());
    largest = std::max(largest, bytes);
    convolutions += op.getConvolution().has_value();
  });
  if (wanted.isAuto && scratch >= 0 && largest > 0 && convolutions > 1)
    return largest + largest * scratch / 100;
  return std::numeric_limits<int64_t>::max();
}

/// Those with the room that there is; in a network so small that there is none
/// for much of what is to be gained, without such a bound.
SmallVector<Candidate> ChooseConvolutionPass::findCandidates() {
  // Of the cycles of all convolutions.
  static constexpr double kMuch = 0.1;
  auto examineAll = [&](int64_t room, bool lists = false) {
    cost.room = room;
    SmallVector<Candidate> candidates;
    getOperation()->walk([&](ContractOp op) {
      if (std::optional<Candidate> candidate = examine(op, lists))
        candidates.push_back(*candidate);
    });
    return candidates;
  };
  auto addGains = [](ArrayRef<Candidate> candidates) {
    double gain = 0;
    for (const Candidate &candidate : candidates)
      gain += candidate.gain;
    return gain;
  };
  constexpr int64_t any = std::numeric_limits<int64_t>::max();
  int64_t room = findRoom();
  if (room == any)
    return examineAll(any, /*lists=*/true);
  SmallVector<Candidate> fitting = examineAll(room), all = examineAll(any);
  double cycles = 0;
  getOperation()->walk([&](ContractOp op) {
    if (std::optional<ConvolutionSizes> sizes = ConvolutionSizes::get(op))
      cycles += cost.getDirect(*sizes) / speed;
  });
  bool isBounded = addGains(all) - addGains(fitting) <= kMuch * cycles;
  // What forms cost is told for the room that they have.
  if (wantsRemarks(&getContext()))
    return examineAll(isBounded ? room : any, /*lists=*/true);
  return isBounded ? fitting : all;
}

void ChooseConvolutionPass::runOnOperation() {
  std::optional<Wanted> parsed = Wanted::parse(form);
  if (!parsed) {
    getOperation()->emitError("expected a convolution of form auto, direct, "
                              "winograd or fft, found '")
        << form << "'";
    return signalPassFailure();
  }
  wanted = *parsed;
  if (!wanted.winograd && !wanted.fourier)
    return;
  cost = {lanes, 0};
  getOperation()->walk([&](Operation *op) {
    if (op->hasTrait<OpTrait::ConstantLike>())
      cost.constantBytes += getConstantBytes(op->getResult(0).getType());
  });
  SmallVector<Candidate> candidates = findCandidates();
  bool hasConvolution = false;
  getOperation()->walk([&](ContractOp op) { hasConvolution |= hasWindow(op); });
  if (!wanted.isAuto && !mark && hasConvolution && candidates.empty())
    getOperation()->emitWarning("no convolution has the form '")
        << form << "': all are direct (--remarks=" << kPass << " says why)";
  int64_t room = std::numeric_limits<int64_t>::max();
  if (wanted.isAuto) {
    // A model isn't exact: a small gain may be none.
    llvm::erase_if(candidates, [&](const Candidate &candidate) {
      bool isSmall = candidate.gain < 0.1 * candidate.direct;
      if (isSmall)
        remarkMissed(candidate.op->getLoc(), kPass)
            << "direct: another form would gain less than a tenth";
      return isSmall;
    });
    llvm::stable_sort(candidates, [](const Candidate &a, const Candidate &b) {
      return a.gain * b.bytes > b.gain * a.bytes;
    });
    if (growth >= 0)
      room = cost.constantBytes * growth / 100;
  }
  for (const Candidate &candidate : candidates) {
    WinogradAttr form = candidate.form;
    StringRef name = form.isFourier() ? "Fourier" : "Winograd";
    if (candidate.bytes > room) {
      remarkMissed(candidate.op->getLoc(), kPass) << mlir::remark::add(
          "direct: the constants may grow by {0} bytes more, {1}'s form "
          "needs {2}",
          room, name, candidate.bytes);
      continue;
    }
    room -= candidate.bytes;
    if (mark) {
      Operation *op = candidate.op;
      op->setDiscardableAttr(kTransformedAttr, UnitAttr::get(&getContext()));
      continue;
    }
    remarkDone(candidate.op->getLoc(), kPass) << mlir::remark::add(
        "{0}: {1}'s form, {2}x{3} outputs a tile: saves {4} % of the cycles",
        describe(form), name, form.getHeight(), form.getWidth(),
        int(100 * candidate.gain / candidate.direct));
    apply(candidate);
  }
}
