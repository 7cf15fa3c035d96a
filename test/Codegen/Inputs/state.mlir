// --from=tensor
// A constant that is made before the first run: y = x + repeat(table).
#row = affine_map<(i, j) -> (i)>
#all = affine_map<(i, j) -> (i, j)>
module attributes {
  dlc.name = "state",
  dlc.inputs = [{name = "x", type = tensor<4x8192xf32>}],
  dlc.outputs = [{name = "y", type = tensor<4x8192xf32>}]
} {
  func.func @main(%x: tensor<4x8192xf32>) -> tensor<4x8192xf32> {
    %table = dlc.expanded 1 : tensor<4x8192xf32>
    %e = tensor.empty() : tensor<4x8192xf32>
    %y = linalg.generic {indexing_maps = [#all, #all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%x, %table : tensor<4x8192xf32>, tensor<4x8192xf32>) outs(%e : tensor<4x8192xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %s = arith.addf %a, %b : f32
      linalg.yield %s : f32
    } -> tensor<4x8192xf32>
    return %y : tensor<4x8192xf32>
  }
  // Two results that are one value, which has temporary memory.
  func.func @init() -> (tensor<4x8192xf32>, tensor<4x8192xf32>) {
    %c = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
    %e = tensor.empty() : tensor<4xf32>
    %d = linalg.add ins(%c, %c : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    %f = tensor.empty() : tensor<4x8192xf32>
    %t = linalg.generic {indexing_maps = [#row, #all], iterator_types = ["parallel", "parallel"]}
        ins(%d : tensor<4xf32>) outs(%f : tensor<4x8192xf32>) {
    ^bb0(%a: f32, %b: f32):
      linalg.yield %a : f32
    } -> tensor<4x8192xf32>
    return %t, %t : tensor<4x8192xf32>, tensor<4x8192xf32>
  }
}
