// The onnx dialect: an ONNX file as it is, one generic op for every node.
#ifndef DLC_ONNX
#define DLC_ONNX

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Onnx_Dialect : Dialect {
  let name = "onnx";
  let cppNamespace = "::dlc::onnx";
  let summary = "An ONNX model, lossless and without knowledge of any operator";
  let description = [{
    See dialects/Onnx/README.md for why it is so. Tensors are builtin tensors:
    signed integers are signless, `uint8` is `ui8`, `bool` is `i1`, an unknown
    dimension is `?`, an unknown rank `tensor<*x..>`.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

class Onnx_Type<string name, string typeMnemonic> : TypeDef<Onnx_Dialect, name> {
  let mnemonic = typeMnemonic;
}

def Onnx_StringType : Onnx_Type<"String", "string"> {
  let summary = "a string of bytes, the element of a string tensor";
}

def Onnx_UnknownType : Onnx_Type<"Unknown", "unknown"> {
  let summary = "a value (or the element of a tensor) whose type the model does not say";
}

def Onnx_SeqType : Onnx_Type<"Seq", "seq"> {
  let summary = "a sequence of values of one type";
  let parameters = (ins "::mlir::Type":$elementType);
  let assemblyFormat = "`<` $elementType `>`";
}

def Onnx_OptionalType : Onnx_Type<"Optional", "optional"> {
  let summary = "a value that may be absent";
  let parameters = (ins "::mlir::Type":$elementType);
  let assemblyFormat = "`<` $elementType `>`";
}

def Onnx_MapType : Onnx_Type<"Map", "map"> {
  let summary = "a map from integers or strings to values of one type";
  let parameters = (ins "::mlir::Type":$keyType, "::mlir::Type":$valueType);
  let assemblyFormat = "`<` $keyType `,` $valueType `>`";
}

def Onnx_SparseType : Onnx_Type<"Sparse", "sparse"> {
  let summary = "a sparse tensor; the parameter is the dense tensor's type";
  let parameters = (ins "::mlir::Type":$tensorType);
  let assemblyFormat = "`<` $tensorType `>`";
}

def Onnx_OpaqueType : Onnx_Type<"Opaque", "opaque"> {
  let summary = "a type that only its domain knows";
  let parameters = (ins StringRefParameter<>:$domain, StringRefParameter<>:$name);
  let assemblyFormat = "`<` $domain `,` $name `>`";
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

class Onnx_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Onnx_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def Onnx_RefAttr : Onnx_Attr<"Ref", "ref"> {
  let summary = "in a function's body: the caller's attribute of that name";
  let description = "`alpha = #onnx.ref<\"alpha\", \"float\">`; the kind is ONNX's word for it.";
  let parameters = (ins StringRefParameter<>:$name, StringRefParameter<>:$kind);
  let assemblyFormat = "`<` $name `,` $kind `>`";
}

def Onnx_ListAttr : Onnx_Attr<"List", "list"> {
  let summary = "a list of tensors, sparse tensors or types";
  let description = [{
    Lists of ints, floats and strings have builtin attributes; these have not,
    and an empty list must not lose its kind:
    `values = #onnx.list<"tensors", [dense<1> : tensor<1xi64>]>`.
  }];
  let parameters = (ins StringRefParameter<>:$kind, "::mlir::ArrayAttr":$elements);
  let assemblyFormat = "`<` $kind `,` $elements `>`";
}

def Onnx_SparseAttr : Onnx_Attr<"SparseTensor", "sparse_elements"> {
  let summary = "a sparse tensor in coordinate format";
  let description = [{
    `indices` are linear (`tensor<Nxi64>`) or coordinates
    (`tensor<N x rank x i64>`), in ascending order:
    `#onnx.sparse_elements<tensor<3x4xf32>, dense<2.0> : tensor<1xf32>, dense<5> : tensor<1xi64>>`.
  }];
  let parameters = (ins "::mlir::Type":$type, "::mlir::Attribute":$values,
                        "::mlir::Attribute":$indices);
  let assemblyFormat = "`<` $type `,` $values `,` $indices `>`";
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

class Onnx_Op<string mnemonic, list<Trait> traits = []>
    : Op<Onnx_Dialect, mnemonic, traits>;

def Onnx_StrArray : TypedArrayAttrBase<StrAttr, "array of strings">;

def Onnx_DictArray : TypedArrayAttrBase<DictionaryAttr, "array of dictionaries">;

/// What graphs, functions and subgraphs have in common: `inputs` and `outputs`
/// hold one dictionary a value with its `name`, and, where the model says so,
/// `dim_names` (one string a dimension, "" where it has none), `doc_string`,
/// `denotation`, `dim_denotations` and `metadata`; for an output also `type`, where it is
/// declared otherwise than the value returned.
defvar graphMembers = [{
  /// The original name of an input or output, "" when out of range.
  ::llvm::StringRef getInputName(unsigned i) { return entryName(getInputs(), i); }
  ::llvm::StringRef getOutputName(unsigned i) { return entryName(getOutputs(), i); }
  /// Names of the dimensions of an input or output; null when none has one.
  ::mlir::ArrayAttr getInputDimNames(unsigned i) { return entryDims(getInputs(), i); }
  ::mlir::ArrayAttr getOutputDimNames(unsigned i) { return entryDims(getOutputs(), i); }
  ::mlir::Block *getBodyBlock() { return &getBody().front(); }
}];

def Onnx_GraphOp : Onnx_Op<"graph", [IsolatedFromAbove, Symbol, SingleBlock,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>]> {
  let summary = "the graph of a model";
  let description = [{
    ```mlir
    onnx.graph @main(%x "x" : tensor<?x4xf32> {dim_names = ["batch", ""]}) -> ("y") {
      %y = onnx.node "Relu"(%x) : (tensor<?x4xf32>) -> ("y" : tensor<?x4xf32>)
      onnx.return %y : tensor<?x4xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Onnx_DictArray:$inputs,
                       Onnx_DictArray:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = graphMembers;
}

def Onnx_FunctionOp : Onnx_Op<"function", [IsolatedFromAbove, Symbol, SingleBlock,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>]> {
  let summary = "a model-local function";
  let description = [{
    Nodes of this domain, op type and overload call it. Values have no types
    but those that the file gives. `opset_imports` maps domains to versions,
    `parameters` are attributes without, `defaults` those with a
    default value.

    ```mlir
    onnx.function @"my.domain::Scale" "my.domain" "Scale" (%x "x" : !onnx.unknown) -> ("y")
        attributes {defaults = {}, parameters = ["k"], opset_imports = {ai.onnx = 18 : i64}} {
      %k = onnx.node "Constant"() {value_float = #onnx.ref<"k", "float">} : () -> ("c" : !onnx.unknown)
      %y = onnx.node "Mul"(%x, %k) : (!onnx.unknown, !onnx.unknown) -> ("y" : !onnx.unknown)
      onnx.return %y : !onnx.unknown
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$domain, StrAttr:$name,
                       DefaultValuedStrAttr<StrAttr, "">:$overload,
                       Onnx_DictArray:$inputs, Onnx_DictArray:$outputs,
                       DictionaryAttr:$opset_imports,
                       Onnx_StrArray:$parameters,
                       DictionaryAttr:$defaults);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = graphMembers;
}

def Onnx_ReturnOp : Onnx_Op<"return", [Pure, Terminator,
    ParentOneOf<["GraphOp", "FunctionOp", "NodeOp"]>]> {
  let summary = "the outputs of a graph, function or subgraph";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

def Onnx_NoneOp : Onnx_Op<"none", [Pure]> {
  let summary = "the value of an optional input that is not given";
  let results = (outs NoneType:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Onnx_InitializerOp : Onnx_Op<"initializer", [Pure,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "a tensor stored in the model";
  let description = [{
    Values above 64 bytes are resources (`dense_resource`) in the layout of
    ONNX's `raw_data`, that is one byte a bool, two 4-bit and four 2-bit
    elements a byte (`getRawBytes` in Onnx.h), and share memory with the
    mapped file where its alignment allows.
    `input` is the position of the initializer in the list of graph inputs
    when it stands there as well, as the default of that input.

    ```mlir
    %w = onnx.initializer "w" = dense<[1.0, 2.0]> : tensor<2xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, AnyAttr:$value, OptionalAttr<I64Attr>:$input);
  let results = (outs AnyType:$result);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The value of a dense initializer; null when it is sparse.
    ::mlir::ElementsAttr getElements() {
      return ::llvm::dyn_cast<::mlir::ElementsAttr>(getValue());
    }
  }];
}

def Onnx_NodeOp : Onnx_Op<"node", [
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
    DeclareOpInterfaceMethods<OpAsmOpInterface,
        ["getAsmResultNames", "getAsmBlockArgumentNames"]>]> {
  let summary = "one node of an ONNX graph, of whatever operator";
  let description = [{
    ```mlir
    %y = onnx.node "Conv"(%x, %w, %none) {group = 1 : i64, pads = array<i64: 1, 1, 1, 1>}
        : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, none) -> ("y" : tensor<1x4x8x8xf32>)
    %z = onnx.node "Gelu" in "com.microsoft"(%y) : (tensor<1x4x8x8xf32>) -> ("z" : !onnx.unknown)
    %r = onnx.node "If"(%c) : (tensor<i1>) -> ("r" : tensor<2xf32>)
        graph then_branch = "then" () -> ("a") { ... onnx.return %a : tensor<2xf32> }
        graph else_branch = "else" () -> ("b") { ... }
    ```
    Attributes keep their kind: int `i64`, float `f32`, string, ints
    `array<i64: ..>`, floats `array<f32: ..>`, strings `[".."]`, a tensor as
    elements, a sparse tensor `#onnx.sparse_elements`, a type as itself, other
    lists `#onnx.list`, a reference `#onnx.ref`. Attributes that are graphs are
    regions, whose `graphs` entry holds the `attribute`'s name, the graph's
    `name`, `inputs` and `outputs` as in `onnx.graph`; the graphs of a list have
    `index` too. A subgraph uses outer values directly. An
    output that is not wanted has the name "" and type `none`.
  }];
  let arguments = (ins Variadic<AnyType>:$operands, StrAttr:$op_type,
                       DefaultValuedStrAttr<StrAttr, "">:$domain,
                       DefaultValuedStrAttr<StrAttr, "">:$overload,
                       DictionaryAttr:$onnx_attributes,
                       Onnx_StrArray:$output_names,
                       Onnx_DictArray:$graphs);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region VariadicRegion<SizedRegion<1>>:$bodies);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    /// Whether this is operator `op` of the default domain.
    bool isOp(::llvm::StringRef op) { return getDomain().empty() && getOpType() == op; }

    /// The name of the node in the file, from its location; "" when it has none.
    ::llvm::StringRef getNodeName();
    /// The version of the node's domain that the model imports (a node of a function: that the function imports), 0 when none.
    int64_t getOpset();
    ::llvm::StringRef getOutputName(unsigned i) { return ::llvm::cast<::mlir::StringAttr>(getOutputNames()[i]).getValue(); }

    /// Operand or result i, null when it is absent.
    ::mlir::Value getInput(unsigned i);
    ::mlir::Value getOutput(unsigned i);

    /// Attributes by name; the default when the attribute is absent or of another kind.
    ::mlir::Attribute getOnnxAttribute(::llvm::StringRef name) { return getOnnxAttributes().get(name); }
    bool hasAttribute(::llvm::StringRef name) { return bool(getOnnxAttribute(name)); }
    int64_t getInt(::llvm::StringRef name, int64_t otherwise);
    double getFloat(::llvm::StringRef name, double otherwise);
    ::llvm::StringRef getString(::llvm::StringRef name, ::llvm::StringRef otherwise);
    std::optional<::llvm::SmallVector<int64_t>> getInts(::llvm::StringRef name);
    std::optional<::llvm::SmallVector<float>> getFloats(::llvm::StringRef name);
    std::optional<::llvm::SmallVector<::llvm::StringRef>> getStrings(::llvm::StringRef name);
    ::mlir::ElementsAttr getTensor(::llvm::StringRef name);

    /// The subgraphs of an attribute; null when it has none.
    ::mlir::Region *getGraph(::llvm::StringRef attribute);
    ::llvm::SmallVector<::mlir::Region *> getGraphList(::llvm::StringRef attribute);
    /// The dictionary of a region: attribute, name, inputs, outputs.
    ::mlir::DictionaryAttr getGraphInfo(unsigned region) { return ::llvm::cast<::mlir::DictionaryAttr>(getGraphs()[region]); }
  }];
}

#endif
