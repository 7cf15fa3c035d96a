// Strings and sequences of tensors. They are lowered to calls of the runtime
// (`dlc.call`).
#ifndef DLC_SEQUENCE
#define DLC_SEQUENCE

include "dialects/Dlc/DlcBase.td"

def Dlc_AnySequence : Type<CPred<"::llvm::isa<::dlc::SequenceType>($_self)">,
                           "a sequence">;

def Dlc_StringsOp : Dlc_Op<"strings", [Pure]> {
  let summary = "a constant tensor of strings";
  let description = [{
    `%0 = dlc.strings ["a", "b"] : tensor<2x!dlc.string>`. A string ends at its
    first byte 0.
  }];
  let arguments = (ins ArrayAttr:$values);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$values attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Dlc_SequenceOp : Dlc_Op<"sequence", [Pure]> {
  let summary = "a sequence of the given tensors";
  let description = [{
    `%0 = dlc.sequence %a, %b : tensor<2xf32>, tensor<f32> -> !dlc.seq<f32>`;
    with `absent` one that is not there, of the length -1.
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$items, UnitAttr:$absent);
  let results = (outs Dlc_AnySequence:$result);
  let assemblyFormat = "$items attr-dict (`:` type($items)^)? `->` type($result)";
  let hasVerifier = 1;
}

def Dlc_SequenceInsertOp : Dlc_Op<"sequence_insert", [Pure, AllTypesMatch<["sequence", "result"]>]> {
  let summary = "a sequence with a tensor more, in front of a position";
  let arguments = (ins Dlc_AnySequence:$sequence, AnyRankedTensor:$x, Index:$position);
  let results = (outs Dlc_AnySequence:$result);
  let assemblyFormat = "$x `into` $sequence `[` $position `]` attr-dict `:` type($x) `into` type($sequence)";
}

def Dlc_SequenceEraseOp : Dlc_Op<"sequence_erase", [Pure, AllTypesMatch<["sequence", "result"]>]> {
  let summary = "a sequence without the tensor at a position";
  let arguments = (ins Dlc_AnySequence:$sequence, Index:$position);
  let results = (outs Dlc_AnySequence:$result);
  let assemblyFormat = "$sequence `[` $position `]` attr-dict `:` type($sequence)";
}

def Dlc_SequenceLengthOp : Dlc_Op<"sequence_length", [Pure]> {
  let summary = "how many tensors a sequence has; -1 where it is absent";
  let arguments = (ins Dlc_AnySequence:$sequence);
  let results = (outs Index:$result);
  let assemblyFormat = "$sequence attr-dict `:` type($sequence)";
}

// Not Pure: it must not move in front of the check of its position.
def Dlc_SequenceAtOp : Dlc_Op<"sequence_at", [NoMemoryEffect]> {
  let summary = "the tensor at a position of a sequence";
  let description = [{
    The run fails where the tensor does not have the result's rank and static
    sizes.
  }];
  let arguments = (ins Dlc_AnySequence:$sequence, Index:$position);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$sequence `[` $position `]` attr-dict `:` type($sequence) `->` type($result)";
}

// Not Pure, likewise.
def Dlc_SequenceConcatOp : Dlc_Op<"sequence_concat", [NoMemoryEffect]> {
  let summary = "the tensors of a sequence joined along an axis";
  let description = [{
    With `newAxis` the axis is one that the tensors do not have yet. The run
    fails where the tensors' shapes do not fit, and where there is none.
  }];
  let arguments = (ins Dlc_AnySequence:$sequence, I64Attr:$axis, UnitAttr:$newAxis);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$sequence `axis` `=` $axis attr-dict `:` type($sequence) `->` type($result)";
}

def Dlc_CallOp : Dlc_Op<"call"> {
  let summary = "calls a function of the runtime";
  let description = [{
    The function gets the run's context, the operands, and a place for each
    result that is a tensor (or buffer); a result that is none, of which there
    is one at most, is returned. Tensors are passed as `struct dlc_rt_view`
    (lib/Runtime/rt/dlc_rt.h): dense, read only as operands; the memory of
    results is the run's. Scalars are `i32`, `i64`, `f32`, `f64`, `i1` (as an
    int) or `index` (as an `intptr_t`). The run ends where the function failed.
    `%0 = dlc.call "string_equal"(%a, %b) : (index, index) -> i1`
    calls `dlc_rt_string_equal`. It stands at the top level or in a loop, never
    in the body of a linalg op.
  }];
  let arguments = (ins StrAttr:$callee, Variadic<AnyType>:$operands);
  let results = (outs Variadic<AnyType>:$results);
  let assemblyFormat = "$callee `(` $operands `)` attr-dict `:` functional-type($operands, $results)";
}

#endif
