// What the generated code asks of its run: the buffers of the caller, the
// workspace, the weights, the state. These appear from the phase `buffer` on,
// in the model's functions @main and @init, whose first argument is the run's
// context (`struct dlc_rt_ctx` of lib/Runtime).
//
// With `device`, the memory is the GPU's; the host must not follow the address.
#ifndef DLC_RUNTIME
#define DLC_RUNTIME

include "dialects/Dlc/DlcBase.td"
include "mlir/Dialect/LLVMIR/LLVMOpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ViewLikeInterface.td"

def Dlc_InputOp : Dlc_Op<"input", [Pure]> {
  let summary = "the caller's buffer of an input; dynamic sizes are read from the run";
  let arguments = (ins I64Attr:$index, UnitAttr:$device);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$index attr-dict `:` type($result)";
}

def Dlc_OutputOp : Dlc_Op<"output", [MemoryEffects<[MemWrite]>]> {
  let summary = "the buffer to write an output to";
  let description = [{
    With dynamic dimensions, whose sizes are the operands, the run tells the
    caller the shape and provides the buffer, or ends in an error.
  }];
  let arguments = (ins I64Attr:$index, Variadic<Index>:$dynamicSizes,
                       UnitAttr:$device);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$index (`[` $dynamicSizes^ `]`)? attr-dict `:` type($result)";
}

def Dlc_ArenaOp : Dlc_Op<"arena", [Pure]> {
  let summary = "a buffer at a fixed offset of the workspace";
  let arguments = (ins I64Attr:$offset, UnitAttr:$device);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$offset attr-dict `:` type($result)";
}

def Dlc_WeightOp : Dlc_Op<"weight", [Pure]> {
  let summary = "a constant at a fixed offset of the object's weights";
  let arguments = (ins I64Attr:$offset, UnitAttr:$device);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$offset attr-dict `:` type($result)";
}

def Dlc_ExpandedOp : Dlc_Op<"expanded", [Pure]> {
  let summary = "a result of @init, which is computed once before the first run";
  let description = [{
    A constant that @init makes of smaller ones. In the phase `buffer` it gets
    its place in the state (`dlc.state`).
  }];
  let arguments = (ins I64Attr:$index);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$index attr-dict `:` type($result)";
}

def Dlc_StateOp : Dlc_Op<"state", [Pure]> {
  let summary = "a buffer at a fixed offset of the model's state";
  let description = [{@init writes it, and @main reads it.}];
  let arguments = (ins I64Attr:$offset);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$offset attr-dict `:` type($result)";
}

def Dlc_AllocOp : Dlc_Op<"alloc", [MemoryEffects<[MemAlloc]>]> {
  let summary = "a buffer of dynamic size; the run ends in an error without memory";
  let arguments = (ins Variadic<Index>:$dynamicSizes, UnitAttr:$device);
  let results = (outs Res<AnyMemRef, "", [MemAlloc]>:$result);
  let assemblyFormat = "(`[` $dynamicSizes^ `]`)? attr-dict `:` type($result)";
}

def Dlc_FreeOp : Dlc_Op<"free"> {
  let summary = "gives back a buffer of dlc.alloc";
  let arguments = (ins Arg<AnyMemRef, "", [MemFree]>:$buffer,
                       UnitAttr:$device);
  let assemblyFormat = "$buffer attr-dict `:` type($buffer)";
}

def Dlc_ParallelOp : Dlc_Op<"parallel", [
    RecursiveMemoryEffects, SingleBlock]> {
  let summary = "work in units that threads may share";
  let description = [{
    The region computes the units from its first argument up to its second one;
    it runs for parts that make up all of 0 ... `count`, in any order and at the
    same time, each of at least `grain` units (but for the last one). What a
    unit computes is the same in whatever part it is. The third argument is
    memory of the thread's own, for `dlc.scratch`. The last one is a unit, the
    first or one before it: the thread has computed those from there on, in
    parts one right behind the other, and its memory is as they have left it.

    ```mlir
    dlc.parallel %count grain 4 {
    ^bb0(%first: index, %end: index, %own: !llvm.ptr, %since: index):
      scf.for %unit = %first to %end step %c1 { ... }
      dlc.yield
    }
    ```
  }];
  let arguments = (ins Index:$count, ConfinedAttr<I64Attr, [IntPositive]>:$grain);
  let regions = (region SizedRegion<1>:$body);
  let hasRegionVerifier = 1;
  let assemblyFormat = "$count `grain` $grain attr-dict-with-keyword $body";
  let skipDefaultBuilders = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$count, "int64_t":$grain)>];
  let extraClassDeclaration = [{
    ::mlir::BlockArgument getFirst() { return getBody().getArgument(0); }
    ::mlir::BlockArgument getEnd() { return getBody().getArgument(1); }
    ::mlir::BlockArgument getOwn() { return getBody().getArgument(2); }
    ::mlir::BlockArgument getSince() { return getBody().getArgument(3); }
  }];
}

def Dlc_ScratchOp : Dlc_Op<"scratch", [Pure, AllTypesMatch<["planned", "result"]>]> {
  let summary = "the scratch memory of a part of a dlc.parallel";
  let description = [{
    `planned`, a buffer of the arena, on the thread of the run, which has no
    memory of its own (`own` is null), else the thread's.
  }];
  let arguments = (ins AnyStaticShapeMemRef:$planned, LLVM_AnyPointer:$own);
  let results = (outs AnyStaticShapeMemRef:$result);
  let assemblyFormat = "$planned `or` $own attr-dict `:` type($planned) `,` type($own)";
}

def Dlc_ForkOp : Dlc_Op<"fork", [
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "calls a kernel for parts of its units, on several threads";
  let description = [{
    The callee takes the operands, then what the region of `dlc.parallel` does.

    ```mlir
    dlc.fork @kernel(%a, %b) units %n grain 4 : memref<8xf32>, memref<8xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<AnyType>:$arguments,
                       Index:$count, ConfinedAttr<I64Attr, [IntPositive]>:$grain);
  let assemblyFormat = [{
    $callee `(` $arguments `)` `units` $count `grain` $grain attr-dict
    (`:` type($arguments)^)?
  }];
}

def Dlc_BeginNodeOp : Dlc_Op<"begin_node"> {
  let summary = "the time at which a run comes to a node";
  let description = [{
    `node` counts in the module's attribute `dlc.profile`, a list of names.
    What stands between this and `dlc.end_node` is measured.

    ```mlir
    %time = dlc.begin_node 3
    func.call @kernel_7(%a, %b) : (memref<8xf32>, memref<8xf32>) -> ()
    dlc.end_node 3, %time
    ```
  }];
  let arguments = (ins ConfinedAttr<I32Attr, [IntNonNegative]>:$node);
  let results = (outs I64:$time);
  let assemblyFormat = "$node attr-dict";
}

def Dlc_EndNodeOp : Dlc_Op<"end_node"> {
  let summary = "a run is done with a node";
  let arguments = (ins ConfinedAttr<I32Attr, [IntNonNegative]>:$node, I64:$time);
  let assemblyFormat = "$node `,` $time attr-dict";
}

def Dlc_LaunchOp : Dlc_Op<"launch", []> {
  let summary = "starts a kernel on the GPU";
  let description = [{
    `blocks` blocks of `threads` threads, in one dimension; nothing with 0
    blocks. A buffer is passed as the address of its first element. Launches
    are executed one after the other, while the host goes on. `written` has the
    numbers of the parameters that the kernel writes to; without it, that may be
    all.

    ```mlir
    dlc.launch @kernels::@kernel_0 blocks %n threads 256 (%a, %size) {written = array<i64: 0>}
      : memref<?xf32>, index
    ```
  }];
  let arguments = (ins SymbolRefAttr:$kernel, Index:$blocks, I32Attr:$threads,
                       Variadic<AnyType>:$parameters,
                       OptionalAttr<DenseI64ArrayAttr>:$written);
  let assemblyFormat = [{
    $kernel `blocks` $blocks `threads` $threads
    `(` $parameters `)` attr-dict (`:` type($parameters)^)?
  }];
}

def Dlc_ReadOp : Dlc_Op<"read", [
    TypesMatchWith<"the result is an element", "buffer", "result",
                   "::llvm::cast<::mlir::MemRefType>($_self).getElementType()">]> {
  let summary = "an element of the GPU's memory, for which the host waits";
  let arguments = (ins Arg<AnyMemRef, "", [MemRead]>:$buffer,
                       Variadic<Index>:$indices);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$buffer `[` $indices `]` attr-dict `:` type($buffer)";
}

def Dlc_WriteOp : Dlc_Op<"write", [
    TypesMatchWith<"the value is an element", "buffer", "value",
                   "::llvm::cast<::mlir::MemRefType>($_self).getElementType()">]> {
  let summary = "writes an element of the GPU's memory from the host";
  let arguments = (ins AnyType:$value,
                       Arg<AnyMemRef, "", [MemWrite]>:$buffer,
                       Variadic<Index>:$indices);
  let assemblyFormat =
      "$value `,` $buffer `[` $indices `]` attr-dict `:` type($buffer)";
}

class Dlc_Transfer<string mnemonic> : Dlc_Op<mnemonic, [
    AllTypesMatch<["from", "to"]>]> {
  let arguments = (ins Arg<AnyMemRef, "", [MemRead]>:$from,
                       Arg<AnyMemRef, "", [MemWrite]>:$to);
  let assemblyFormat = "$from `to` $to attr-dict `:` type($from)";
}

def Dlc_FetchOp : Dlc_Transfer<"fetch"> {
  let summary = "copies a dense buffer of the GPU to one of the host, which waits";
}

def Dlc_SendOp : Dlc_Transfer<"send"> {
  let summary = "copies a dense buffer of the host to one of the GPU";
  let description = [{The host's buffer may change and be freed afterwards.}];
}

#endif
