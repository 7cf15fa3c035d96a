// A call of a function that the program around the model defines.
#ifndef DLC_EXTERN
#define DLC_EXTERN

include "dialects/Dlc/DlcBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"

def Dlc_ExternOp : Dlc_Op<"extern", [AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<DestinationStyleOpInterface>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "a call of a C function that the object is linked with";
  let description = [{
    The function `symbol` has the type `dlc_extern_op` of the C interface. It
    reads the inputs and writes every element of the results, whose shapes are
    those of the inits; `nodeAttributes` is a JSON object. A result other than
    0 ends the run. It is called once in a run, and never at compile time.

    ```mlir
    %y = dlc.extern "acme_scale" ins(%x : tensor<4xf32>)
        outs(%init : tensor<4xf32>) with "{\"factor\": 2.0}" -> tensor<4xf32>
    ```
  }];
  let arguments = (ins StrAttr:$symbol, Variadic<AnyShaped>:$inputs,
                       Variadic<AnyShaped>:$inits, StrAttr:$nodeAttributes);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $symbol `ins` `(` ($inputs^ `:` type($inputs))? `)`
    `outs` `(` $inits `:` type($inits) `)` `with` $nodeAttributes attr-dict
    (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

#endif
