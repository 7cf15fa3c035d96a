/// \file
/// How the onnx dialect reads and prints: graphs with their signature, nodes
/// with their subgraphs, and values under the names that they have in the file.
#include "dialects/Onnx/Onnx.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace dlc::onnx;

//===----------------------------------------------------------------------===//
// Names of values
//===----------------------------------------------------------------------===//

static void nameArguments(Region &region, ArrayAttr inputs,
                          OpAsmSetValueNameFn setName) {
  for (auto [i, argument] : llvm::enumerate(region.getArguments()))
    if (StringRef name = entryName(inputs, i); !name.empty())
      setName(argument, name);
}

void GraphOp::getAsmBlockArgumentNames(Region &region,
                                       OpAsmSetValueNameFn setName) {
  nameArguments(region, getInputs(), setName);
}

void FunctionOp::getAsmBlockArgumentNames(Region &region,
                                          OpAsmSetValueNameFn setName) {
  nameArguments(region, getInputs(), setName);
}

void NodeOp::getAsmBlockArgumentNames(Region &region,
                                      OpAsmSetValueNameFn setName) {
  unsigned i = region.getRegionNumber();
  if (i < getGraphs().size())
    nameArguments(region, getGraphInfo(i).getAs<ArrayAttr>("inputs"), setName);
}

void NodeOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  for (auto [name, result] : llvm::zip(getOutputNames(), getResults())) {
    StringRef text = cast<StringAttr>(name).getValue();
    setName(result, text.empty() ? "none" : text);
  }
}

void InitializerOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), getName());
}

//===----------------------------------------------------------------------===//
// Signatures: (%x "x" : type {..}, ...) -> ("y" {..}, ...)
//===----------------------------------------------------------------------===//

/// Prints an entry's dictionary without its name, nothing when it is empty.
static void printEntry(OpAsmPrinter &p, DictionaryAttr entry) {
  SmallVector<NamedAttribute> rest;
  for (NamedAttribute attribute : entry)
    if (attribute.getName() != "name")
      rest.push_back(attribute);
  p.printOptionalAttrDict(rest);
}

static StringAttr nameOf(DictionaryAttr entry) {
  return entry.getAs<StringAttr>("name");
}

static void printSignature(OpAsmPrinter &p, Region &body, ArrayAttr inputs,
                           ArrayAttr outputs) {
  p << '(';
  llvm::interleaveComma(
      llvm::zip(body.getArguments(), inputs), p, [&](auto it) {
        auto [argument, attribute] = it;
        auto entry = cast<DictionaryAttr>(attribute);
        p.printOperand(argument);
        p << ' ' << nameOf(entry) << " : " << argument.getType();
        printEntry(p, entry);
      });
  p << ") -> (";
  llvm::interleaveComma(outputs, p, [&](Attribute attribute) {
    auto entry = cast<DictionaryAttr>(attribute);
    p << nameOf(entry);
    printEntry(p, entry);
  });
  p << ')';
}

/// Parses `"name" [: type] {..}` into an entry.
static ParseResult parseEntry(OpAsmParser &parser, Type *type,
                              SmallVectorImpl<Attribute> &entries) {
  std::string name;
  NamedAttrList list;
  if (parser.parseString(&name) || (type && parser.parseColonType(*type)) ||
      parser.parseOptionalAttrDict(list))
    return failure();
  list.set("name", parser.getBuilder().getStringAttr(name));
  entries.push_back(list.getDictionary(parser.getContext()));
  return success();
}

static ParseResult
parseSignature(OpAsmParser &parser,
               SmallVectorImpl<OpAsmParser::Argument> &arguments,
               ArrayAttr &inputs, ArrayAttr &outputs) {
  SmallVector<Attribute> in, out;
  auto input = [&]() -> ParseResult {
    OpAsmParser::Argument &argument = arguments.emplace_back();
    return failure(parser.parseArgument(argument) ||
                   parseEntry(parser, &argument.type, in));
  };
  auto output = [&]() -> ParseResult {
    return parseEntry(parser, nullptr, out);
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, input) ||
      parser.parseArrow() ||
      parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, output))
    return failure();
  inputs = parser.getBuilder().getArrayAttr(in);
  outputs = parser.getBuilder().getArrayAttr(out);
  return success();
}

static void printBody(OpAsmPrinter &p, Region &body) {
  p << ' ';
  p.printRegion(body, /*printEntryBlockArgs=*/false,
                /*printBlockTerminators=*/true);
}

/// Parses the signature, the attributes and the body of a graph or function.
static ParseResult parseGraph(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::Argument> arguments;
  ArrayAttr inputs, outputs;
  if (parseSignature(parser, arguments, inputs, outputs) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  result.addAttribute("inputs", inputs);
  result.addAttribute("outputs", outputs);
  return parser.parseRegion(*result.addRegion(), arguments);
}

//===----------------------------------------------------------------------===//
// GraphOp and FunctionOp
//===----------------------------------------------------------------------===//

void GraphOp::print(OpAsmPrinter &p) {
  p << ' ';
  p.printSymbolName(getSymName());
  printSignature(p, getBody(), getInputs(), getOutputs());
  p.printOptionalAttrDictWithKeyword((*this)->getAttrs(),
                                     {"sym_name", "inputs", "outputs"});
  printBody(p, getBody());
}

ParseResult GraphOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr symbol;
  if (parser.parseSymbolName(symbol, "sym_name", result.attributes))
    return failure();
  return parseGraph(parser, result);
}

void FunctionOp::print(OpAsmPrinter &p) {
  p << ' ';
  p.printSymbolName(getSymName());
  p << ' ' << getDomainAttr() << ' ' << getNameAttr() << ' ';
  printSignature(p, getBody(), getInputs(), getOutputs());
  SmallVector<StringRef> elided = {"sym_name", "domain", "name", "inputs",
                                   "outputs"};
  if (getOverload().empty())
    elided.push_back("overload");
  p.printOptionalAttrDictWithKeyword((*this)->getAttrs(), elided);
  printBody(p, getBody());
}

ParseResult FunctionOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr symbol, domain, name;
  if (parser.parseSymbolName(symbol, "sym_name", result.attributes) ||
      parser.parseAttribute(domain, "domain", result.attributes) ||
      parser.parseAttribute(name, "name", result.attributes))
    return failure();
  return parseGraph(parser, result);
}

//===----------------------------------------------------------------------===//
// InitializerOp
//===----------------------------------------------------------------------===//

void InitializerOp::print(OpAsmPrinter &p) {
  p << ' ' << getNameAttr();
  p.printOptionalAttrDict((*this)->getAttrs(), {"name", "value"});
  p << " = " << getValue();
}

ParseResult InitializerOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr name;
  Attribute value;
  if (parser.parseAttribute(name, "name", result.attributes) ||
      parser.parseOptionalAttrDict(result.attributes) || parser.parseEqual())
    return failure();
  SMLoc where = parser.getCurrentLocation();
  if (parser.parseAttribute(value, "value", result.attributes))
    return failure();
  if (auto sparse = dyn_cast<SparseTensorAttr>(value))
    result.addTypes(SparseType::get(parser.getContext(), sparse.getType()));
  else if (auto elements = dyn_cast<ElementsAttr>(value))
    result.addTypes(elements.getType());
  else
    return parser.emitError(where, "expected a tensor or sparse tensor, found ")
           << value;
  return success();
}

//===----------------------------------------------------------------------===//
// NodeOp
//===----------------------------------------------------------------------===//

void NodeOp::print(OpAsmPrinter &p) {
  p << ' ' << getOpTypeAttr();
  if (!getDomain().empty())
    p << " in " << getDomainAttr();
  if (!getOverload().empty())
    p << " overload " << getOverloadAttr();
  p << '(' << getOperands() << ')';
  if (!getOnnxAttributes().empty())
    p << ' ' << getOnnxAttributes();
  p << " : (";
  llvm::interleaveComma(getOperandTypes(), p);
  p << ") -> (";
  llvm::interleaveComma(
      llvm::zip(getOutputNames(), getResultTypes()), p,
      [&](auto it) { p << std::get<0>(it) << " : " << std::get<1>(it); });
  p << ')';
  p.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(), {"op_type", "domain", "overload", "onnx_attributes",
                            "output_names", "graphs"});
  for (auto [i, region] : llvm::enumerate(getBodies())) {
    DictionaryAttr info = getGraphInfo(i);
    p.increaseIndent();
    p.printNewline();
    p << "graph ";
    p.printKeywordOrString(info.getAs<StringAttr>("attribute").getValue());
    p << " = " << nameOf(info) << ' ';
    printSignature(p, region, info.getAs<ArrayAttr>("inputs"),
                   info.getAs<ArrayAttr>("outputs"));
    p.printOptionalAttrDictWithKeyword(
        info.getValue(), {"attribute", "name", "inputs", "outputs"});
    printBody(p, region);
    p.decreaseIndent();
  }
}

ParseResult NodeOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &builder = parser.getBuilder();
  StringAttr opType, domain = builder.getStringAttr(""), overload = domain;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> operandTypes;
  NamedAttrList attributes;
  SmallVector<Attribute> outputNames, graphs;
  SMLoc where;

  if (parser.parseAttribute(opType) ||
      (succeeded(parser.parseOptionalKeyword("in")) &&
       parser.parseAttribute(domain)) ||
      (succeeded(parser.parseOptionalKeyword("overload")) &&
       parser.parseAttribute(overload)) ||
      parser.getCurrentLocation(&where) ||
      parser.parseOperandList(operands, OpAsmParser::Delimiter::Paren) ||
      parser.parseOptionalAttrDict(attributes) || parser.parseColon() ||
      parser.parseLParen())
    return failure();
  if (failed(parser.parseOptionalRParen()) &&
      (parser.parseTypeList(operandTypes) || parser.parseRParen()))
    return failure();
  auto output = [&]() -> ParseResult {
    std::string name;
    Type type;
    if (parser.parseString(&name) || parser.parseColonType(type))
      return failure();
    outputNames.push_back(builder.getStringAttr(name));
    result.addTypes(type);
    return success();
  };
  if (parser.parseArrow() ||
      parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, output) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.resolveOperands(operands, operandTypes, where, result.operands))
    return failure();

  while (succeeded(parser.parseOptionalKeyword("graph"))) {
    std::string attribute;
    SmallVector<OpAsmParser::Argument> arguments;
    ArrayAttr inputs, outputs;
    StringAttr name;
    NamedAttrList info;
    if (parser.parseKeywordOrString(&attribute) || parser.parseEqual() ||
        parser.parseAttribute(name) ||
        parseSignature(parser, arguments, inputs, outputs) ||
        parser.parseOptionalAttrDictWithKeyword(info) ||
        parser.parseRegion(*result.addRegion(), arguments))
      return failure();
    info.set("attribute", builder.getStringAttr(attribute));
    info.set("name", name);
    info.set("inputs", inputs);
    info.set("outputs", outputs);
    graphs.push_back(info.getDictionary(parser.getContext()));
  }

  result.addAttribute("op_type", opType);
  result.addAttribute("domain", domain);
  result.addAttribute("overload", overload);
  result.addAttribute("onnx_attributes",
                      attributes.getDictionary(parser.getContext()));
  result.addAttribute("output_names", builder.getArrayAttr(outputNames));
  result.addAttribute("graphs", builder.getArrayAttr(graphs));
  return success();
}
