// dlc.contract on memrefs -> scf, vector and arith: the choice of the kernel.
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Cpu/ContractDot.h"
#include "passes/Cpu/ContractEmit.h"
#include "passes/Cpu/Passes.h"
#include "passes/Cpu/VectorBody.h"
#include "passes/Cpu/WinogradTransform.h"
#include "passes/Remarks.h"

namespace dlc {
#define GEN_PASS_DEF_LOWERCONTRACT
#include "passes/Cpu/Passes.h.inc"
} // namespace dlc

using namespace mlir;
using namespace dlc;

/// The generators with a condition of their own, best first.
struct Generator {
  bool (*emit)(ContractEmitter &);
  StringRef name;
  /// Whether it skips what lies outside of A.
  bool skipsOutside = false;
};
static constexpr Generator generators[] = {
    {emitWinograd, "Winograd's form"},
    {emitFourier, "Fourier's form"},
    {emitDepthwise, "channel by channel", /*skipsOutside=*/true},
    {emitTiles, "product of tiles"},
    {emitGemm, "register-tiled product"},
    {emitDot, "dot products"},
};

void dlc::lowerContract(ContractOp op, const CpuIsa &isa) {
  ImplicitLocOpBuilder b(op.getLoc(), op);
  StringRef why = "its epilogue has no form for vectors";
  if (hasVectorEpilogue(op)) {
    FailureOr<ContractLoops> loops = ContractLoops::analyse(op, b);
    why = "an operand's layout is not linear";
    if (succeeded(loops)) {
      ContractEmitter emitter(*loops, isa, b);
      for (const Generator &generator : generators)
        if ((generator.skipsOutside || loops->outside.empty()) &&
            generator.emit(emitter)) {
          remarkDone(op.getLoc(), "dlc-lower-contract") << remark::add(
              "kernel: {0}{1}", generator.name, emitter.description);
          markVectorCode(op);
          return op.erase();
        }
      why = "no dimension that vectors could run along is contiguous";
    }
  }
  remarkMissed(op.getLoc(), "dlc-lower-contract")
      << remark::add("kernel: one element after the other, since {0}", why);
  emitScalar(op, isa.threads, b);
  op.erase();
}

namespace {
struct LowerContract : dlc::impl::LowerContractBase<LowerContract> {
  using LowerContractBase::LowerContractBase;

  void runOnOperation() override {
    CpuIsa isa;
    isa.vectorBytes = vectorBytes;
    isa.registers = registers;
    isa.pointers = pointers;
    isa.l2Bytes = l2Bytes;
    isa.fma = fma;
    isa.threads = threads;
    std::optional<DotKind> kind = parseDotKind(dot);
    if (!kind) {
      getOperation()->emitError(
          "dlc-lower-contract: expected dot=none, amx, vnni, "
          "madd, sdot, i8mm, sdot32 or i8mm32, found '")
          << dot << "'";
      return signalPassFailure();
    }
    isa.dot = *kind;
    std::optional<DotKind> pairKind = parsePairKind(pairs);
    if (!pairKind) {
      getOperation()->emitError(
          "dlc-lower-contract: expected pairs=none, "
          "tdpbf16ps, vdpbf16ps, bfdot or bfmmla, found '")
          << pairs << "'";
      return signalPassFailure();
    }
    isa.pairs = *pairKind;
    isa.dotBytes = dotBytes;
    isa.byteTiles = dot == "amx";
    isa.pairTiles = pairs == "tdpbf16ps";
    SmallVector<AttentionOp> attentions;
    getOperation()->walk([&](AttentionOp op) { attentions.push_back(op); });
    for (AttentionOp op : attentions) {
      if (!op.getScratch()) {
        op.emitError("expected attention with scratch memory: run "
                     "dlc-allocate-scratch or dlc-decompose-attention first");
        return signalPassFailure();
      }
      if (failed(lowerAttention(op, isa)))
        return signalPassFailure();
    }
    SmallVector<ContractOp> ops;
    getOperation()->walk([&](ContractOp op) { ops.push_back(op); });
    for (ContractOp op : ops) {
      if (op.hasTensors()) {
        op.emitError("expected a contraction of memrefs: bufferize first");
        return signalPassFailure();
      }
      if (op.getWinogradAttr() && !hasVectorEpilogue(op)) {
        op.emitError("expected an epilogue of elementwise ops in Winograd's "
                     "or Fourier's form of a convolution");
        return signalPassFailure();
      }
      if (op.getWinogradAttr() && !op.getScratch()) {
        op.emitError("expected scratch memory for Winograd's or Fourier's form "
                     "of a convolution: run dlc-allocate-scratch first");
        return signalPassFailure();
      }
      lowerContract(op, isa);
    }
    SmallVector<WinogradWeightsOp> weights;
    getOperation()->walk([&](WinogradWeightsOp op) { weights.push_back(op); });
    for (WinogradWeightsOp op : weights) {
      if (op.getResult()) {
        op.emitError("expected weights in memrefs: bufferize first");
        return signalPassFailure();
      }
      lowerWinogradWeights(op, isa);
    }
  }
};
} // namespace
