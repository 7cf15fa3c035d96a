// The operator of scaled_tanh.cpp without C++, for --custom-ops. Both functions
// are com.example.ScaledTanh, for inputs of two ranks.
#same = affine_map<(d0, d1) -> (d0, d1)>
func.func @"com.example::ScaledTanh"(
    %x: tensor<?x?xf32>,
    %alpha: f32 {dlc.attribute = "alpha", dlc.default = 1.0 : f32},
    %beta: f32 {dlc.attribute = "beta", dlc.default = 1.0 : f32})
    -> tensor<?x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = tensor.dim %x, %c0 : tensor<?x?xf32>
  %columns = tensor.dim %x, %c1 : tensor<?x?xf32>
  %empty = tensor.empty(%rows, %columns) : tensor<?x?xf32>
  %y = linalg.generic
      {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x?xf32>) outs(%empty : tensor<?x?xf32>) {
  ^bb0(%in: f32, %out: f32):
    %scaled = arith.mulf %in, %beta : f32
    %tanh = math.tanh %scaled : f32
    %result = arith.mulf %tanh, %alpha : f32
    linalg.yield %result : f32
  } -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

func.func private @one_dimensional(
    %x: tensor<?xf32>,
    %alpha: f32 {dlc.attribute = "alpha", dlc.default = 1.0 : f32},
    %beta: f32 {dlc.attribute = "beta", dlc.default = 1.0 : f32})
    -> tensor<?xf32> attributes {dlc.op = "com.example::ScaledTanh"} {
  %c0 = arith.constant 0 : index
  %size = tensor.dim %x, %c0 : tensor<?xf32>
  %row = tensor.expand_shape %x [[0, 1]] output_shape [1, %size] : tensor<?xf32> into tensor<1x?xf32>
  %any = tensor.cast %row : tensor<1x?xf32> to tensor<?x?xf32>
  %y = call @"com.example::ScaledTanh"(%any, %alpha, %beta) : (tensor<?x?xf32>, f32, f32) -> tensor<?x?xf32>
  %one = tensor.cast %y : tensor<?x?xf32> to tensor<1x?xf32>
  %flat = tensor.collapse_shape %one [[0, 1]] : tensor<1x?xf32> into tensor<?xf32>
  return %flat : tensor<?xf32>
}
