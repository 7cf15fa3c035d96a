// The contraction op: what matmul and conv become, with everything
// elementwise that follows in its epilogue.
#ifndef DLC_CONTRACT
#define DLC_CONTRACT

include "dialects/Dlc/DlcBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"

def Dlc_ContractOp : Dlc_Op<"contract", [
    AttrSizedOperandSegments, SingleBlock,
    DeclareOpInterfaceMethods<DestinationStyleOpInterface, ["getDpsInitsMutable"]>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "sum of products over reduction dimensions, with an epilogue";
  let description = [{
    `C[c(d)] = epilogue(sum_k A[a(d)] * B[b(d)], extras[e(d)]...)`

    The maps are those of `linalg.generic`: from the iteration space to each
    of A, B, the extras and C. A dimension in A and C is a row (M), in B and C
    a column (N), in A and B alone a reduction (K), in all three a batch. A's
    map may be any linear expression with non-negative coefficients (the
    window of a convolution); B's may be packed in panels of columns,
    `(n floordiv 64, k..., n mod 64)`, padded with zeros to whole panels; C's
    and the extras' are projected permutations.

    The sum has the type of the epilogue's first argument; `aUnsigned` and
    `bUnsigned` say how integers are extended to it. The init operand is
    written, never read.
  }];
  let arguments = (ins AnyShaped:$a, AnyShaped:$b, Variadic<AnyShaped>:$extras,
                       AnyShaped:$init, AffineMapArrayAttr:$indexingMaps,
                       UnitAttr:$aUnsigned, UnitAttr:$bUnsigned);
  let results = (outs Optional<AnyRankedTensor>:$result);
  let regions = (region SizedRegion<1>:$epilogue);
  let hasVerifier = 1;
  let assemblyFormat = [{
    $a `,` $b (`extras` $extras^ `:` type($extras))? `outs` $init $indexingMaps attr-dict
    `:` type($a) `,` type($b) `,` type($init) (`->` type($result)^)? $epilogue
  }];
}

def Dlc_YieldOp : Dlc_Op<"yield", [Pure, ReturnLike, Terminator]> {
  let summary = "the end of a region";
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

#endif
