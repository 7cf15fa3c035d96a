// What the generated code asks of its run: the buffers of the caller, the
// workspace, the weights. These appear from the phase `buffer` on, in the
// model's main function, whose first argument is the run's context
// (`struct dlc_rt_ctx` of lib/Runtime).
#ifndef DLC_RUNTIME
#define DLC_RUNTIME

include "dialects/Dlc/DlcBase.td"
include "mlir/Interfaces/ViewLikeInterface.td"

def Dlc_InputOp : Dlc_Op<"input", [Pure]> {
  let summary = "the caller's buffer of an input; dynamic sizes are read from the run";
  let arguments = (ins I64Attr:$index);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$index attr-dict `:` type($result)";
}

def Dlc_OutputOp : Dlc_Op<"output", [MemoryEffects<[MemWrite]>]> {
  let summary = "the buffer to write an output to";
  let description = [{
    With dynamic dimensions, whose sizes are the operands, the run tells the
    caller the shape and provides the buffer, or ends in an error.
  }];
  let arguments = (ins I64Attr:$index, Variadic<Index>:$dynamicSizes);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$index (`[` $dynamicSizes^ `]`)? attr-dict `:` type($result)";
}

def Dlc_ArenaOp : Dlc_Op<"arena", [Pure]> {
  let summary = "a buffer at a fixed offset of the workspace";
  let arguments = (ins I64Attr:$offset);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$offset attr-dict `:` type($result)";
}

def Dlc_WeightOp : Dlc_Op<"weight", [Pure]> {
  let summary = "a constant at a fixed offset of the object's weights";
  let arguments = (ins I64Attr:$offset);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$offset attr-dict `:` type($result)";
}

def Dlc_AllocOp : Dlc_Op<"alloc", [MemoryEffects<[MemAlloc]>]> {
  let summary = "a buffer of dynamic size; the run ends in an error without memory";
  let arguments = (ins Variadic<Index>:$dynamicSizes);
  let results = (outs Res<AnyMemRef, "", [MemAlloc]>:$result);
  let assemblyFormat = "(`[` $dynamicSizes^ `]`)? attr-dict `:` type($result)";
}

def Dlc_FreeOp : Dlc_Op<"free"> {
  let summary = "gives back a buffer of dlc.alloc";
  let arguments = (ins Arg<AnyMemRef, "", [MemFree]>:$buffer);
  let assemblyFormat = "$buffer attr-dict `:` type($buffer)";
}

#endif
