/// \file
/// The table of ONNX operators that dlc imports, and what a row sees of the
/// node that it imports.
///
/// An operator is one function and one line in the table of its file:
///
///   static ImportResult importSoftmax(NodeImport &node) {
///     Value x = node.input(0);
///     int64_t axis = node.axis("axis", -1, x);
///     return node.result(node.create<SoftmaxOp>(x, axis));
///   }
///   static OpRows rows{{"", "Softmax", 13, importSoftmax}};
///
/// An operator that takes several steps is marked as a composition: see
/// RowKind.
#ifndef DLC_PASSES_IMPORT_OPTABLE_H
#define DLC_PASSES_IMPORT_OPTABLE_H

#include "dialects/Dlc/Dims.h"
#include "dialects/Dlc/Dlc.h"
#include "dialects/Onnx/Onnx.h"
#include "dlc/Api.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/DialectInterface.h"
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace dlc {

class NodeImport;
class GraphImporter;
class PluginOptions;

/// The node's results, one for each that it has; failure after an error.
using ImportResult = llvm::FailureOr<llvm::SmallVector<mlir::Value>>;

/// What a row makes of its operator. The row of a composition sees its inputs
/// of floats with fewer than 32 bits as f32, and its results are rounded to
/// their types once, at the end: the type of the model is that of the tensors,
/// not of the steps between them. A single op computes in f32 anyway.
enum class RowKind { SingleOp, Composition };

/// A row of the table. It is right for the operator's versions from
/// `sinceVersion` on.
struct OpRow {
  llvm::StringRef domain, name;
  int sinceVersion;
  std::function<ImportResult(NodeImport &)> import;
  RowKind kind = RowKind::SingleOp;
  /// Of the plugin whose row it is.
  const PluginOptions *options = nullptr;
};

/// As the last word of a row.
inline constexpr RowKind kComposition = RowKind::Composition;

/// The float type that elements of `type` are computed in: at least f32.
mlir::Type computeTypeOf(mlir::Type type);

/// Registers rows; a static object in the file of an operator family.
struct DLC_API OpRows {
  OpRows(std::initializer_list<OpRow> rows);
};

/// The row of an operator in the table, or null.
DLC_API const OpRow *findOpRow(llvm::StringRef domain, llvm::StringRef name);
/// The same, with the rows that this context has beyond the table.
DLC_API const OpRow *findOpRow(mlir::MLIRContext &context,
                               llvm::StringRef domain, llvm::StringRef name);
/// What the row of ONNX's operator `name` makes of a node whose inputs and
/// attributes are those of it.
ImportResult importAs(NodeImport &node, llvm::StringRef name);
/// Every row, sorted by domain and name.
DLC_API llvm::SmallVector<const OpRow *> listOpRows();

/// The rows that one context has beyond the table: those of plugins and of
/// --custom-ops. An interface of the dlc dialect.
class DLC_API ContextRows : public mlir::DialectInterface::Base<ContextRows> {
public:
  explicit ContextRows(mlir::Dialect *dialect) : Base(dialect) {}

  static ContextRows &get(mlir::MLIRContext &context);

  const OpRow *find(llvm::StringRef domain, llvm::StringRef name) const;
  /// Adds a row, or takes its place. `owner` lives as long as the context.
  void add(OpRow row, std::shared_ptr<const void> owner);

private:
  std::map<std::pair<std::string, std::string>, OpRow> rows;
  std::vector<std::shared_ptr<const void>> owners;
};

/// Sizes read from data are clamped to this. No memory has so much.
constexpr int64_t kLargestSize = int64_t(1) << 47;

/// A number as a size: its integral part, clamped to kLargestSize and its
/// negative; 0 for NaN.
inline int64_t toSize(double number) {
  if (!(number == number))
    return 0;
  double most = double(kLargestSize);
  return int64_t(std::clamp(number, -most, most));
}

/// The elements of a small integer tensor whose values are known as attributes
/// (of type `index`) or SSA values of type `index`.
using Elements = llvm::SmallVector<mlir::OpFoldResult>;

/// One node while it is imported: its inputs as dlc values, its attributes,
/// and builders of ops.
class DLC_API NodeImport {
public:
  NodeImport(GraphImporter &graph, mlir::OpBuilder &builder, onnx::NodeOp node,
             const PluginOptions *options = nullptr)
      : graph(graph), b(builder), node(node), loc(node.getLoc()),
        options(options) {}

  GraphImporter &graph;
  mlir::OpBuilder &b;
  onnx::NodeOp node;
  mlir::Location loc;

  //===--------------------------------------------------------------------===//
  // The node
  //===--------------------------------------------------------------------===//

  unsigned numInputs() { return node.getOperands().size(); }
  unsigned numOutputs() { return node.getNumResults(); }
  /// Input i, or null where it is absent.
  mlir::Value input(unsigned i);
  /// From now on inputs of floats with fewer than 32 bits are seen as f32.
  void widenInputs();
  /// The results in the types that ONNX infers; where it knows none, in that
  /// of the first input that was widened.
  ImportResult roundResults(ImportResult results);
  /// Input i in its own type, however the row sees it: for the weights of
  /// products, which are summed in f32 anyway.
  mlir::Value storedInput(unsigned i);
  bool hasInput(unsigned i) { return bool(input(i)); }
  /// From now on input i is seen as `value`: for rows that hand a node on, see
  /// importAs.
  void replaceInput(unsigned i, mlir::Value value);
  bool hasOutput(unsigned i) { return bool(node.getOutput(i)); }
  /// An error, and the type of a scalar, for what is no tensor.
  mlir::RankedTensorType type(mlir::Value value);
  int64_t rank(mlir::Value value) { return type(value).getRank(); }
  mlir::Type elementType(mlir::Value value) {
    return type(value).getElementType();
  }
  /// The element type that ONNX inferred for output i, in the types of the dlc
  /// dialect; null where it knows none.
  mlir::Type inferredElementType(unsigned i);
  /// The rank that ONNX inferred for output i.
  std::optional<int64_t> inferredRank(unsigned i);

  int64_t getInt(llvm::StringRef name, int64_t otherwise) {
    return node.getInt(name, otherwise);
  }
  double getFloat(llvm::StringRef name, double otherwise) {
    return node.getFloat(name, otherwise);
  }
  llvm::StringRef getString(llvm::StringRef name, llvm::StringRef otherwise) {
    return node.getString(name, otherwise);
  }
  std::optional<llvm::SmallVector<int64_t>> getInts(llvm::StringRef name) {
    return node.getInts(name);
  }

  /// What the user gave the plugin whose row this is.
  const PluginOptions &pluginOptions() { return *options; }

  /// The attribute `name` as an axis of `value`: negative ones count from the
  /// end. Axes out of range are errors: see `failed`.
  int64_t axis(llvm::StringRef name, int64_t otherwise, mlir::Value value) {
    return normalizeAxis(node.getInt(name, otherwise), rank(value));
  }
  /// An axis in [0, rank); records an error when it is out of range.
  int64_t normalizeAxis(int64_t axis, int64_t rank);

  /// An error at the node: "expected ..., found ...".
  mlir::InFlightDiagnostic error();
  /// True after normalizeAxis or another helper reported an error.
  bool hasFailed = false;

  //===--------------------------------------------------------------------===//
  // Checks: an error where the types show what is wrong, else a check in the
  // run, and nothing where it is known to be right. Checks stand at the top
  // level or in a loop, never in the body of a linalg op.
  //===--------------------------------------------------------------------===//

  /// What ONNX calls input i.
  std::string inputName(unsigned i);
  /// Input i, where there is one, has this rank, or one of these.
  mlir::LogicalResult expectRank(unsigned i, llvm::ArrayRef<int64_t> ranks);
  /// Fails the run with a status (0: that of a wrong shape) and `message`
  /// unless `condition` holds.
  void check(mlir::Value condition, const llvm::Twine &message,
             int32_t status = 0);
  /// Input i, where there is one, has these sizes. `words` says what they
  /// are: "num_directions, batch_size, hidden_size"; nothing where all are
  /// constant.
  mlir::LogicalResult expectShape(unsigned i,
                                  llvm::ArrayRef<mlir::OpFoldResult> sizes,
                                  llvm::StringRef words);
  /// Input i, where there is one, broadcasts to these sizes and does not widen
  /// them.
  mlir::LogicalResult expectBroadcast(unsigned i,
                                      llvm::ArrayRef<mlir::OpFoldResult> sizes,
                                      llvm::StringRef words);
  /// The same of a value that errors call `name`.
  mlir::LogicalResult expectBroadcast(mlir::Value x,
                                      llvm::ArrayRef<mlir::OpFoldResult> sizes,
                                      llvm::StringRef name);
  /// Every dimension of a list of sizes is 1 or more: `what` says of what.
  mlir::LogicalResult expectNotEmpty(llvm::ArrayRef<mlir::OpFoldResult> sizes,
                                     llvm::StringRef what);
  /// Sizes read from data are below what `elements` clamps them to: a run
  /// ends with DLC_ERROR_MEMORY otherwise.
  void expectMemory(llvm::ArrayRef<mlir::OpFoldResult> sizes);
  /// Both are equal; the message is "expected " and `what`.
  mlir::LogicalResult expectEqual(mlir::OpFoldResult a, mlir::OpFoldResult b,
                                  const llvm::Twine &what);

  //===--------------------------------------------------------------------===//
  // Results
  //===--------------------------------------------------------------------===//

  ImportResult result(mlir::Value value) {
    if (hasFailed || !value)
      return mlir::failure();
    return llvm::SmallVector<mlir::Value>{value};
  }
  ImportResult results(llvm::ArrayRef<mlir::Value> values) {
    if (hasFailed)
      return mlir::failure();
    return llvm::SmallVector<mlir::Value>(values);
  }

  //===--------------------------------------------------------------------===//
  // Building ops
  //===--------------------------------------------------------------------===//

  /// An op; null, and an error, where its types are inferred from its operands
  /// and these do not fit.
  template <typename OpTy, typename... Args>
  mlir::Value create(Args &&...args) {
    if constexpr (OpTy::template hasTrait<
                      mlir::InferTypeOpInterface::Trait>() &&
                  !isTyped<Args...>())
      return infer<OpTy>(std::forward<Args>(args)...);
    else
      return b.createOrFold<OpTy>(loc, std::forward<Args>(args)...);
  }
  /// An op whose types are inferred from its operands; null, and an error,
  /// when they do not fit. MLIR's own builders that infer end the process then:
  /// they are not to be used on what a model says.
  template <typename OpTy, typename... Args> mlir::Value infer(Args &&...args) {
    mlir::OperationState state(loc, OpTy::getOperationName());
    // The builder that is told the type infers nothing.
    OpTy::build(b, state, mlir::Type(b.getNoneType()),
                std::forward<Args>(args)...);
    state.types.clear();
    return createInferred(state);
  }
  /// An elementwise op on operands of one element type, null when their
  /// shapes do not broadcast.
  template <typename OpTy> mlir::Value map(mlir::ValueRange operands) {
    mlir::SmallVector<mlir::Type> types;
    if (!areTensors(operands))
      return {};
    if (mlir::failed(inferElementwise(OpTy::getOperationName(), loc, operands,
                                      OpTy::isPredicate(), types))) {
      hasFailed = true;
      return {};
    }
    return b.createOrFold<OpTy>(loc, types, operands);
  }

  /// A constant of rank 0 of `like`'s element type.
  mlir::Value scalar(double value, mlir::Type elementType);
  mlir::Value scalarLike(double value, mlir::Value like) {
    return scalar(value, elementType(like));
  }
  /// A constant tensor of `i64`.
  mlir::Value integers(llvm::ArrayRef<int64_t> values);
  mlir::Value constant(mlir::ElementsAttr value);
  /// A constant tensor of strings.
  mlir::Value strings(llvm::ArrayRef<llvm::StringRef> values,
                      llvm::ArrayRef<int64_t> shape);
  mlir::Value cast(mlir::Value x, mlir::Type elementType, bool saturate = true,
                   mlir::StringRef roundMode = "up");

  /// An error, and 1, where x has no dimension i.
  mlir::OpFoldResult dim(mlir::Value x, int64_t i);
  Elements dims(mlir::Value x) {
    return areTensors(x) ? getDims(b, loc, x) : Elements();
  }
  mlir::OpFoldResult index(int64_t value) { return b.getIndexAttr(value); }

  mlir::Value reshape(mlir::Value x, llvm::ArrayRef<mlir::OpFoldResult> sizes);
  mlir::Value broadcast(mlir::Value x,
                        llvm::ArrayRef<mlir::OpFoldResult> sizes);
  mlir::Value transpose(mlir::Value x, llvm::ArrayRef<int64_t> permutation);
  /// Adds dimensions of size 1 so that they stand at `axes` of the result.
  mlir::Value unsqueeze(mlir::Value x, llvm::ArrayRef<int64_t> axes);
  /// Takes out the dimensions `axes`, of size 1.
  mlir::Value squeeze(mlir::Value x, llvm::ArrayRef<int64_t> axes);
  mlir::Value slice(mlir::Value x, llvm::ArrayRef<mlir::OpFoldResult> offsets,
                    llvm::ArrayRef<mlir::OpFoldResult> sizes,
                    llvm::ArrayRef<int64_t> strides);
  /// Elements [begin, begin + size) of one axis.
  mlir::Value sliceAxis(mlir::Value x, int64_t axis, mlir::OpFoldResult begin,
                        mlir::OpFoldResult size);
  mlir::Value concat(mlir::ValueRange inputs, int64_t axis);
  mlir::Value reduce(ReduceKind kind, mlir::Value x,
                     llvm::ArrayRef<int64_t> axes);
  /// Repeats the batch dimensions of matrices in the run where they are not
  /// known to be equal: an operand that need not be is not copied.
  mlir::LogicalResult broadcastBatches(mlir::Value &lhs, mlir::Value &rhs);
  /// `zeros` as those of a dlc.matmul.
  mlir::Value matmul(mlir::Value lhs, mlir::Value rhs, mlir::Type elementType,
                     mlir::ValueRange zeros = {});
  /// [n, c, spatial...] -> [n, spatial..., c], and back.
  mlir::Value toChannelsLast(mlir::Value x);
  mlir::Value toChannelsFirst(mlir::Value x);
  /// The number of elements along `axes`, as a rank-0 tensor.
  mlir::Value countAlong(mlir::Value x, llvm::ArrayRef<int64_t> axes,
                         mlir::Type elementType);

  //===--------------------------------------------------------------------===//
  // Values known while importing
  //===--------------------------------------------------------------------===//

  /// The elements of an integer tensor of rank 0 or 1, where each is a
  /// constant or a size. With `read` they are sizes or positions: also those of
  /// any other tensor of static size, read at run time, and all clamped to
  /// kLargestSize and its negative. A tensor of dynamic length is read where
  /// `count` says how many there have to be.
  std::optional<Elements> elements(mlir::Value x, bool read = false,
                                   std::optional<int64_t> count = {});
  /// The elements as numbers, where all are constants.
  std::optional<llvm::SmallVector<int64_t>> constants(mlir::Value x);
  /// The value of a constant tensor, null otherwise.
  mlir::ElementsAttr constantValue(mlir::Value x);
  std::optional<double> constantFloat(mlir::Value x);
  /// An `i64` (or other integer) tensor of the given elements.
  mlir::Value fromElements(llvm::ArrayRef<mlir::OpFoldResult> elements,
                           mlir::Type elementType, bool isScalar = false);

private:
  /// Whether the arguments of a builder begin with the results' types.
  template <typename... Args> static constexpr bool isTyped() {
    using First = std::tuple_element_t<0, std::tuple<Args..., void>>;
    return std::is_convertible_v<First, mlir::Type> ||
           std::is_same_v<std::decay_t<First>, mlir::TypeRange>;
  }

  const PluginOptions *options;

  mlir::Value createInferred(mlir::OperationState &state);
  /// Whether an op can be made of the operands; an error where one is no
  /// tensor.
  bool areTensors(mlir::ValueRange operands);
  mlir::Value widen(mlir::Value x);

  /// Inputs that the row has given another value.
  llvm::SmallDenseMap<unsigned, mlir::Value> replaced;
  /// Input i in f32, null where it is another one as it is.
  llvm::SmallVector<mlir::Value> widened;
  /// The type of the first input that was widened, null where none was.
  mlir::Type narrowType;
};

} // namespace dlc

#endif
