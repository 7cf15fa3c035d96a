// The dlc dialect itself, its types and the classes of its ops.
#ifndef DLC_BASE
#define DLC_BASE

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "dialects/Dlc/DlcInterfaces.td"

def Dlc_Dialect : Dialect {
  let name = "dlc";
  let cppNamespace = "::dlc";
  let summary = "Neural networks as a small closed set of ops on ranked tensors";
  let description = [{
    See dialects/Dlc/README.md for why it is so. Images are channels-last,
    weights of convolutions `[kernel..., input channels / group, output
    channels]`. Integers are signless for the signed types of ONNX and `ui8` …
    for the unsigned ones; booleans are `i1`.
  }];
  // Runs and the memory of threads are pointers.
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
}

class Dlc_Type<string name, string typeMnemonic> : TypeDef<Dlc_Dialect, name> {
  let mnemonic = typeMnemonic;
}

def Dlc_StringType : Dlc_Type<"String", "string"> {
  let summary = "a string of bytes, as an element of a tensor";
  let description = [{
    Behind the phase `graph` the address of its bytes, an `index`; the last
    byte is 0, and the address 0 is the empty string.
  }];
}

def Dlc_SequenceType : Dlc_Type<"Sequence", "seq"> {
  let summary = "a sequence of tensors, whose shapes and ranks may differ";
  let description = [{
    The parameter is the type of the tensors' elements: `!dlc.seq<f32>`. A
    value that may be absent is one, too: a tensor that is absent is the empty
    sequence and one that is there a sequence of one tensor; a sequence that is
    absent has the length -1. Behind the phase `graph` it is the handle, an
    `index`, of an object of the run; values never change.
  }];
  let parameters = (ins "::mlir::Type":$elementType);
  let assemblyFormat = "`<` $elementType `>`";
}

def Dlc_MapType : Dlc_Type<"Map", "map"> {
  let summary = "a map, or a sequence of maps that have their keys in common";
  let description = [{
    The parameters are the types of keys and values: `!dlc.map<i64, f32>`.
    Which of both it is the program's interface says. Behind the phase `graph`
    it is a handle like that of a sequence.
  }];
  let parameters = (ins "::mlir::Type":$keyType, "::mlir::Type":$valueType);
  let assemblyFormat = "`<` $keyType `,` $valueType `>`";
}

class Dlc_Attr<string name, string attrMnemonic>
    : AttrDef<Dlc_Dialect, name> {
  let mnemonic = attrMnemonic;
}

class Dlc_Op<string mnemonic, list<Trait> traits = []>
    : Op<Dlc_Dialect, mnemonic, traits>;

/// An op whose result type follows from its operands and attributes.
class Dlc_InferredOp<string mnemonic, list<Trait> traits = []>
    : Dlc_Op<mnemonic, !listconcat([Pure, InferTypeOpAdaptor], traits)>;

def Dlc_Sizes : DenseArrayAttrBase<"::mlir::DenseI64ArrayAttr", "int64_t", "i64">;

#endif
