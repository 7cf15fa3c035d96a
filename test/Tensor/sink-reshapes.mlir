// RUN: dlc-opt %s --dlc-sink-reshapes --canonicalize | FileCheck %s

#a = affine_map<(d0, d1, d2) -> (d0, d2)>
#b = affine_map<(d0, d1, d2) -> (d2, d1)>
#c = affine_map<(d0, d1, d2) -> (d0, d1)>
#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>
#column = affine_map<(d0, d1) -> (d0)>

// Two ops on rows of 3 become ones on rows of 6, with the bias twice.
// CHECK-LABEL: func @bias
// CHECK-SAME: %[[A:.*]]: tensor<4x5xf32>, %[[B:.*]]: tensor<5x6xf32>, %[[BIAS:.*]]: tensor<3xf32>
// CHECK: %[[SUMS:.*]] = dlc.contract
// CHECK: %[[TWICE:.*]] = linalg.generic {{.*}} ins(%[[BIAS]] : tensor<3xf32>) outs({{.*}} : tensor<2x3xf32>)
// CHECK: %[[VECTOR:.*]] = tensor.collapse_shape %[[TWICE]] {{.*}} into tensor<6xf32>
// CHECK: %[[ADDED:.*]] = linalg.generic {{.*}} ins(%[[SUMS]], %[[VECTOR]] : tensor<4x6xf32>, tensor<6xf32>)
// CHECK: %[[EXP:.*]] = linalg.generic {{.*}} ins(%[[ADDED]] : tensor<4x6xf32>)
// CHECK: %[[FLAT:.*]] = tensor.collapse_shape %[[EXP]]
// CHECK: %[[RESULT:.*]] = tensor.expand_shape %[[FLAT]] {{.*}} into tensor<8x3xf32>
// CHECK: return %[[RESULT]]
func.func @bias(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>, %bias: tensor<3xf32>) -> tensor<8x3xf32> {
  %e = tensor.empty() : tensor<4x6xf32>
  %s = dlc.contract %a, %b outs %e [#a, #b, #c] : tensor<4x5xf32>, tensor<5x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  %flat = tensor.collapse_shape %s [[0, 1]] : tensor<4x6xf32> into tensor<24xf32>
  %y = tensor.expand_shape %flat [[0, 1]] output_shape [8, 3] : tensor<24xf32> into tensor<8x3xf32>
  %f = tensor.empty() : tensor<8x3xf32>
  %r = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%y, %bias : tensor<8x3xf32>, tensor<3xf32>) outs(%f : tensor<8x3xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %v = arith.addf %p, %q : f32
    linalg.yield %v : f32
  } -> tensor<8x3xf32>
  %t = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r : tensor<8x3xf32>) outs(%f : tensor<8x3xf32>) {
  ^bb0(%p: f32, %o: f32):
    %v = math.exp %p : f32
    linalg.yield %v : f32
  } -> tensor<8x3xf32>
  return %t : tensor<8x3xf32>
}

// One number a row, and rows that 6 is no multiple of, stay.
// CHECK-LABEL: func @apart
// CHECK: dlc.contract
// CHECK: tensor.collapse_shape
// CHECK: tensor.expand_shape
// CHECK: linalg.generic
// CHECK: dlc.contract
// CHECK: tensor.collapse_shape
// CHECK: tensor.expand_shape
// CHECK: linalg.generic
func.func @apart(%a: tensor<4x5xf32>, %b: tensor<5x6xf32>, %rows: tensor<8xf32>, %bias: tensor<4xf32>)
    -> (tensor<8x3xf32>, tensor<6x4xf32>) {
  %e = tensor.empty() : tensor<4x6xf32>
  %s = dlc.contract %a, %b outs %e [#a, #b, #c] : tensor<4x5xf32>, tensor<5x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  %flat = tensor.collapse_shape %s [[0, 1]] : tensor<4x6xf32> into tensor<24xf32>
  %y = tensor.expand_shape %flat [[0, 1]] output_shape [8, 3] : tensor<24xf32> into tensor<8x3xf32>
  %f = tensor.empty() : tensor<8x3xf32>
  %r = linalg.generic {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel"]}
      ins(%y, %rows : tensor<8x3xf32>, tensor<8xf32>) outs(%f : tensor<8x3xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %v = arith.addf %p, %q : f32
    linalg.yield %v : f32
  } -> tensor<8x3xf32>
  %s2 = dlc.contract %a, %b outs %e [#a, #b, #c] : tensor<4x5xf32>, tensor<5x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  %flat2 = tensor.collapse_shape %s2 [[0, 1]] : tensor<4x6xf32> into tensor<24xf32>
  %y2 = tensor.expand_shape %flat2 [[0, 1]] output_shape [6, 4] : tensor<24xf32> into tensor<6x4xf32>
  %f2 = tensor.empty() : tensor<6x4xf32>
  %r2 = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%y2, %bias : tensor<6x4xf32>, tensor<4xf32>) outs(%f2 : tensor<6x4xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %v = arith.addf %p, %q : f32
    linalg.yield %v : f32
  } -> tensor<6x4xf32>
  return %r, %r2 : tensor<8x3xf32>, tensor<6x4xf32>
}
