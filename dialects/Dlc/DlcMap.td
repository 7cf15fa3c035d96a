// Maps. No operator makes one of another: a program takes them apart, or
// returns them.
#ifndef DLC_MAP
#define DLC_MAP

include "dialects/Dlc/DlcBase.td"

def Dlc_AnyMap : Type<CPred<"::llvm::isa<::dlc::MapType>($_self)">, "a map">;

def Dlc_MapsOp : Dlc_Op<"maps", [Pure]> {
  let summary = "a sequence of maps with the same keys";
  let description = [{
    The keys `[n]` and a row of the values `[maps, n]` for each map.
    `%0 = dlc.maps %keys, %values : tensor<3xi64>, tensor<?x3xf32> -> !dlc.map<i64, f32>`
    ONNX: [ZipMap](https://onnx.ai/onnx/operators/onnx_aionnxml_ZipMap.html).
  }];
  let arguments = (ins 1DTensorOf<[AnyType]>:$keys, 2DTensorOf<[AnyType]>:$values);
  let results = (outs Dlc_AnyMap:$result);
  let assemblyFormat = "$keys `,` $values attr-dict `:` type($keys) `,` type($values) `->` type($result)";
  let hasVerifier = 1;
}

def Dlc_MapKeysOp : Dlc_Op<"map_keys", [Pure]> {
  let summary = "the keys of a map that the program is given, in its order";
  let description = "`%0 = dlc.map_keys %m : !dlc.map<i64, f32> -> tensor<?xi64>`";
  let arguments = (ins Dlc_AnyMap:$map);
  let results = (outs 1DTensorOf<[AnyType]>:$result);
  let assemblyFormat = "$map attr-dict `:` type($map) `->` type($result)";
}

def Dlc_MapValuesOp : Dlc_Op<"map_values", [Pure]> {
  let summary = "the values of a map that the program is given, in the order of its keys";
  let description = "`%0 = dlc.map_values %m : !dlc.map<i64, f32> -> tensor<?xf32>`";
  let arguments = (ins Dlc_AnyMap:$map);
  let results = (outs 1DTensorOf<[AnyType]>:$result);
  let assemblyFormat = "$map attr-dict `:` type($map) `->` type($result)";
}

#endif
