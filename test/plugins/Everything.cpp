// A plugin that registers one of everything. Its passes note where they ran in
// an attribute of the module; its option `misbehave` has the last one fail.

#include "dialects/Dlc/Dlc.h"
#include "dlc/Plugin.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/ErrorHandling.h"

using namespace mlir;
using namespace dlc;

namespace {

struct EveryDialect : Dialect {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(EveryDialect)
  explicit EveryDialect(MLIRContext *context)
      : Dialect(getDialectNamespace(), context, TypeID::get<EveryDialect>()) {
    allowUnknownOperations();
  }
  static StringRef getDialectNamespace() { return "every"; }
};

struct NotePass : PassWrapper<NotePass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(NotePass)
  NotePass() = default;
  NotePass(const NotePass &other) : PassWrapper(other) {}
  StringRef getArgument() const override { return "every-note"; }
  StringRef getDescription() const override { return "Note a point"; }

  void runOnOperation() override {
    SmallVector<Attribute> notes;
    if (auto before = getOperation()->getAttrOfType<ArrayAttr>("every.notes"))
      llvm::append_range(notes, before);
    notes.push_back(StringAttr::get(&getContext(), point));
    getOperation()->setAttr("every.notes",
                            ArrayAttr::get(&getContext(), notes));
  }

  Option<std::string> point{*this, "point"};
};

/// Runs on functions, and so must be nested.
struct MisbehavePass : PassWrapper<MisbehavePass, OperationPass<func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(MisbehavePass)
  MisbehavePass() = default;
  MisbehavePass(const MisbehavePass &other) : PassWrapper(other) {}
  StringRef getArgument() const override { return "every-misbehave"; }
  StringRef getDescription() const override { return "Fail as told"; }

  void runOnOperation() override {
    if (how == "silent")
      return signalPassFailure();
    if (how == "rename")
      getOperation().setName("other");
    getOperation().walk([&](TanhOp op) {
      if (how == "error") {
        op.emitError("expected no tanh");
        signalPassFailure();
      } else if (how == "invalid") {
        op->getResult(0).setType(
            RankedTensorType::get({7}, Float32Type::get(&getContext())));
      } else if (how == "unregistered") {
        OpBuilder b(op);
        OperationState state(op->getLoc(), "nobody.tanh", op->getOperands(),
                             op->getResultTypes());
        op->replaceAllUsesWith(b.create(state));
        op->erase();
      } else if (how == "fatal") {
        llvm::report_fatal_error("the plugin gave up");
      }
    });
  }

  Option<std::string> how{*this, "how"};
};

} // namespace

/// y = x * factor + shift, the shift an option.
static ImportResult importScale(NodeImport &node) {
  Value x = node.input(0);
  if (!node.node.hasAttribute("factor")) {
    node.error() << "expected the attribute 'factor', found none";
    return failure();
  }
  Value scaled =
      node.map<MulOp>({x, node.scalarLike(node.getFloat("factor", 1), x)});
  double shift = node.pluginOptions().getFloat("shift");
  return node.result(node.map<AddOp>({scaled, node.scalarLike(shift, x)}));
}

static VectorUnit vectorUnit(const TargetSpec &) {
  VectorUnit unit;
  unit.bytes = 16;
  unit.registers = 16;
  return unit;
}

static const StringRef aliases[] = {"everychip"};
static const llvm::Triple::ArchType archs[] = {llvm::Triple::x86_64};

DLC_PLUGIN(registry, "every", "1.5") {
  registry.addDialects<EveryDialect>();
  registry.addOption("shift", 0.0, "what Scale adds");
  registry.addOption("notes", true, "whether passes note where they ran");
  registry.addOption("repeat", 1, "how many notes a pass makes");
  registry.addOption("misbehave", "", "how the last pass fails");
  for (auto [point, name] : {std::pair(PassPoint::AfterImport, "after-import"),
                             {PassPoint::GraphEarly, "graph-early"},
                             {PassPoint::GraphLate, "graph-late"},
                             {PassPoint::Tensor, "tensor"}}) {
    registry.addPasses(
        point, [name = name](OpPassManager &pm, const PluginOptions &options) {
          for (int64_t i = 0;
               options.getBool("notes") && i < options.getInt("repeat"); ++i) {
            auto pass = std::make_unique<NotePass>();
            pass->point = name;
            pm.addPass(std::move(pass));
          }
        });
  }
  registry.registerPass([] { return std::make_unique<NotePass>(); });
  registry.addPasses(PassPoint::GraphLate,
                     [](OpPassManager &pm, const PluginOptions &options) {
                       if (options.getString("misbehave").empty())
                         return;
                       auto pass = std::make_unique<MisbehavePass>();
                       pass->how = options.getString("misbehave");
                       pm.addPass(std::move(pass));
                     });
  registry.addOperator({"com.example", "Scale", 1, importScale});

  // The host's own back end under another name.
  static TargetArch arch;
  for (const TargetArch *known : listTargets())
    if (known->name == "x86_64")
      arch = *known;
  arch.name = "every";
  arch.aliases = aliases;
  arch.archs = archs;
  arch.description = "a chip of the plugin's";
  arch.vectorUnit = vectorUnit;
  arch.runtime = "x86_64";
  registry.addTarget(arch);
}
