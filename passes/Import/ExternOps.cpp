// Reads --extern-op, and imports nodes as calls of C functions.

#include "passes/Import/ExternOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Import/OpTable.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace dlc;

namespace {

/// "f32[n,2]": the type is "" where it is not given, sizes are numbers or
/// names.
struct TensorSpec {
  std::string type;
  std::vector<std::string> sizes;
};

/// One --extern-op.
struct ExternSpec {
  std::string text, symbol;
  bool hasShapes = false;
  std::vector<TensorSpec> inputs, results;
};

} // namespace

/// The type of that name; null when there is none.
static Type parseElementType(MLIRContext *context, StringRef name) {
  auto integer = [&](unsigned width, bool isUnsigned = false) -> Type {
    return IntegerType::get(context, width,
                            isUnsigned ? IntegerType::Unsigned
                                       : IntegerType::Signless);
  };
  return llvm::StringSwitch<std::function<Type()>>(name)
      .Case("f16", [&]() -> Type { return Float16Type::get(context); })
      .Case("bf16", [&]() -> Type { return BFloat16Type::get(context); })
      .Case("f32", [&]() -> Type { return Float32Type::get(context); })
      .Case("f64", [&]() -> Type { return Float64Type::get(context); })
      .Case("bool", [&] { return integer(1); })
      .Case("i8", [&] { return integer(8); })
      .Case("i16", [&] { return integer(16); })
      .Case("i32", [&] { return integer(32); })
      .Case("i64", [&] { return integer(64); })
      .Case("u8", [&] { return integer(8, true); })
      .Case("u16", [&] { return integer(16, true); })
      .Case("u32", [&] { return integer(32, true); })
      .Case("u64", [&] { return integer(64, true); })
      .Default([] { return Type(); })();
}

//===----------------------------------------------------------------------===//
// The flag
//===----------------------------------------------------------------------===//

static bool isIdentifier(StringRef text) {
  return !text.empty() && !llvm::isDigit(text.front()) &&
         llvm::all_of(text,
                      [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

/// Parses "f32[n,c],[c]"; false when it has another form.
static bool parseTensors(MLIRContext *context, StringRef text,
                         std::vector<TensorSpec> &tensors) {
  while (!text.empty()) {
    if (!tensors.empty() && !text.consume_front(","))
      return false;
    auto [type, rest] = text.split('[');
    auto [sizes, behind] = rest.split(']');
    if (!text.contains('[') || !rest.contains(']') ||
        (!type.empty() && !parseElementType(context, type)))
      return false;
    TensorSpec tensor;
    tensor.type = type.str();
    SmallVector<StringRef> parts;
    if (!sizes.empty())
      sizes.split(parts, ',');
    for (StringRef part : parts) {
      int64_t number;
      bool isNumber = !part.getAsInteger(10, number) && number >= 0;
      if (!isNumber && !isIdentifier(part))
        return false;
      tensor.sizes.push_back(part.str());
    }
    tensors.push_back(std::move(tensor));
    text = behind;
  }
  return true;
}

/// Whether every name of a result's size is one of an input's.
static std::string findUnknownSize(const ExternSpec &spec) {
  std::vector<std::string> known;
  for (const TensorSpec &input : spec.inputs)
    llvm::append_range(known, input.sizes);
  for (const TensorSpec &result : spec.results)
    for (const std::string &size : result.sizes)
      if (!llvm::isDigit(size.front()) && !llvm::is_contained(known, size))
        return size;
  return "";
}

//===----------------------------------------------------------------------===//
// The node
//===----------------------------------------------------------------------===//

/// The attributes as a JSON object; an error at the node where one has no such
/// form.
static FailureOr<std::string> writeAttributes(NodeImport &node) {
  if (node.node.getNumRegions()) {
    node.error() << "expected no attributes that are graphs for a C function";
    return failure();
  }
  llvm::json::Object object;
  for (NamedAttribute entry : node.node.getOnnxAttributes()) {
    StringRef name = entry.getName();
    if (auto integer = dyn_cast<IntegerAttr>(entry.getValue())) {
      object[name] = integer.getInt();
    } else if (auto number = dyn_cast<FloatAttr>(entry.getValue())) {
      object[name] = number.getValueAsDouble();
    } else if (auto text = dyn_cast<StringAttr>(entry.getValue())) {
      object[name] = llvm::json::fixUTF8(text.getValue());
    } else if (auto list = node.node.getInts(name)) {
      object[name] = llvm::json::Array(*list);
    } else if (auto list = node.node.getFloats(name)) {
      object[name] = llvm::json::Array(*list);
    } else if (auto list = node.node.getStrings(name)) {
      llvm::json::Array texts;
      for (StringRef text : *list)
        texts.push_back(llvm::json::fixUTF8(text));
      object[name] = std::move(texts);
    } else {
      node.error() << "expected numbers, texts and lists of them as attributes "
                      "for a C function, found '"
                   << name << "' = " << entry.getValue();
      return failure();
    }
  }
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(std::move(object));
  return text;
}

/// What the named sizes are, checked where several inputs have one.
static LogicalResult bindSizes(NodeImport &node, const ExternSpec &spec,
                               llvm::StringMap<OpFoldResult> &sizes) {
  if (spec.inputs.size() != node.numInputs()) {
    node.error() << "expected " << spec.inputs.size() << " inputs for '"
                 << spec.text << "', found " << node.numInputs();
    return failure();
  }
  for (auto [i, input] : llvm::enumerate(spec.inputs)) {
    Value value = node.input(i);
    RankedTensorType type = node.type(value);
    Type element = parseElementType(node.b.getContext(), input.type);
    if (type.getRank() != int64_t(input.sizes.size()) ||
        (element && element != type.getElementType())) {
      node.error() << "expected a tensor of rank " << input.sizes.size()
                   << (element ? " and type " + input.type : "")
                   << " for input " << i << " of '" << spec.text << "', found "
                   << type;
      return failure();
    }
    for (auto [d, name] : llvm::enumerate(input.sizes)) {
      OpFoldResult size = node.dim(value, d);
      int64_t number;
      OpFoldResult wanted;
      if (!StringRef(name).getAsInteger(10, number))
        wanted = node.index(number);
      else if (auto [it, isNew] = sizes.try_emplace(name, size); !isNew)
        wanted = it->second;
      if (wanted &&
          failed(node.expectEqual(wanted, size,
                                  "size " + name + " in dimension " + Twine(d) +
                                      " of input " + Twine(i) + " of '" +
                                      spec.text + "'")))
        return failure();
    }
  }
  return success();
}

/// The sizes of result `i`; none, and an error, where they are not known.
static std::optional<Elements>
resultSizes(NodeImport &node, const ExternSpec &spec, unsigned i,
            const llvm::StringMap<OpFoldResult> &bound) {
  Elements sizes;
  if (spec.hasShapes) {
    for (const std::string &name : spec.results[i].sizes) {
      int64_t number;
      sizes.push_back(StringRef(name).getAsInteger(10, number)
                          ? bound.lookup(name)
                          : OpFoldResult(node.index(number)));
    }
    return sizes;
  }
  auto type = dyn_cast<RankedTensorType>(node.node->getResult(i).getType());
  if (!type || !type.hasStaticShape()) {
    node.error() << "expected the model to declare the sizes of output " << i
                 << ", found " << node.node->getResult(i).getType()
                 << "; give them: --extern-op=" << spec.text
                 << ":[n,c]->[n,c], for instance";
    return std::nullopt;
  }
  for (int64_t size : type.getShape())
    sizes.push_back(node.index(size));
  return sizes;
}

static ImportResult importExtern(NodeImport &node, const ExternSpec &spec) {
  SmallVector<Value> inputs, inits;
  for (unsigned i = 0; i < node.numInputs(); ++i) {
    auto type = node.hasInput(i)
                    ? dyn_cast<RankedTensorType>(node.input(i).getType())
                    : RankedTensorType();
    if (!type || !type.getElementType().isIntOrFloat()) {
      node.error() << "expected a tensor of numbers as input " << i
                   << " of a C function";
      return failure();
    }
    inputs.push_back(node.input(i));
  }
  FailureOr<std::string> attributes = writeAttributes(node);
  llvm::StringMap<OpFoldResult> bound;
  if (failed(attributes) ||
      (spec.hasShapes && failed(bindSizes(node, spec, bound))))
    return failure();
  unsigned numResults =
      spec.hasShapes ? spec.results.size() : node.numOutputs();
  if (numResults < node.numOutputs()) {
    node.error() << "expected at most " << numResults << " outputs for '"
                 << spec.text << "', found " << node.numOutputs();
    return failure();
  }
  SmallVector<Type> types;
  for (unsigned i = 0; i < numResults; ++i) {
    std::optional<Elements> sizes = resultSizes(node, spec, i, bound);
    if (!sizes)
      return failure();
    Type element;
    if (spec.hasShapes)
      element = parseElementType(node.b.getContext(), spec.results[i].type);
    if (!element && i < node.numOutputs() && node.hasOutput(i))
      element = node.inferredElementType(i);
    if (!element && !inputs.empty())
      element = node.elementType(inputs.front());
    if (!element || !element.isIntOrFloat()) {
      node.error() << "expected a type of numbers for output " << i << " of '"
                   << spec.text << "'";
      return failure();
    }
    inits.push_back(tensor::EmptyOp::create(node.b, node.loc, *sizes, element));
    types.push_back(inits.back().getType());
  }
  auto call = ExternOp::create(node.b, node.loc, types, spec.symbol, inputs,
                               inits, *attributes);
  return node.results(
      SmallVector<Value>(call.getResults().take_front(node.numOutputs())));
}

llvm::Error dlc::addExternOp(MLIRContext &context, StringRef text) {
  auto wrong = [&](const Twine &reason) {
    return llvm::createStringError("--extern-op=" + text + ": " + reason);
  };
  auto [op, function] = text.split('=');
  auto [domain, name] = op.rsplit("::");
  auto [symbol, shapes] = function.split(':');
  if (domain.empty() || name.empty() || !isIdentifier(symbol))
    return wrong("expected domain::Name=symbol, where the symbol is the name "
                 "of a C function");
  if (domain == "ai.onnx")
    domain = "";
  if (domain == "dlc" || findOpRow(context, domain, name))
    return wrong(
        "expected an operator that dlc has no lowering of its own for");
  auto spec = std::make_shared<ExternSpec>();
  spec->text = (op + "=" + symbol).str();
  spec->symbol = symbol.str();
  spec->hasShapes = function.contains(':');
  auto [inputs, results] = shapes.split("->");
  if (spec->hasShapes && (!shapes.contains("->") ||
                          !parseTensors(&context, inputs, spec->inputs) ||
                          !parseTensors(&context, results, spec->results) ||
                          spec->results.empty()))
    return wrong("expected shapes such as [n,c],[c]->f32[n,2], found '" +
                 shapes + "'");
  if (std::string unknown = findUnknownSize(*spec); !unknown.empty())
    return wrong("expected a size of an input, found '" + unknown + "'");
  ContextRows::get(context).add(
      {domain, name, 1,
       [spec](NodeImport &node) { return importExtern(node, *spec); }},
      spec);
  return llvm::Error::success();
}
