// RUN: dlc-opt %s --dlc-separate-masks --canonicalize --split-input-file | FileCheck %s

#scores = affine_map<(h, m, n) -> (h, m, n)>
#rows = affine_map<(h, m, n) -> (h, m)>
#q = affine_map<(h, m, n, k) -> (h, m, k)>
#k = affine_map<(h, m, n, k) -> (h, n, k)>
#s = affine_map<(h, m, n, k) -> (h, m, n)>

// The mask depends on the key alone, and has one dimension.

// CHECK-DAG: #[[KEY:.*]] = affine_map<(d0, d1, d2) -> (d2)>
// CHECK-LABEL: func @masked
// CHECK: %[[S:.*]] = dlc.contract
// CHECK: %[[MASK:.*]] = linalg.generic {{.*}} iterator_types = ["parallel"]} outs(%{{.*}} : tensor<?xf32>)
// CHECK: linalg.index 0
// CHECK: arith.select
// CHECK: linalg.generic {indexing_maps = [#{{.*}}, #[[KEY]], #{{.*}}], {{.*}} ins(%[[S]], %[[MASK]]
// CHECK-NOT: linalg.index
// CHECK: arith.addf
// CHECK: return

// Nobody takes a maximum of it: it stays one op.

// CHECK-LABEL: func @other
// CHECK: dlc.contract
// CHECK: linalg.index
func.func @masked(%q: tensor<8x1x4xf32>, %k: tensor<8x?x4xf32>, %most: tensor<8x1xf32>, %length: index, %n: index) -> (tensor<8x1xf32>, tensor<8x1x?xf32>) {
  %low = arith.constant -3.0e38 : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%n) : tensor<8x1x?xf32>
  %s = dlc.contract %q, %k outs %e [#q, #k, #s] : tensor<8x1x4xf32>, tensor<8x?x4xf32>, tensor<8x1x?xf32> -> tensor<8x1x?xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  %y = linalg.generic {indexing_maps = [#scores, #scores], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s : tensor<8x1x?xf32>) outs(%e : tensor<8x1x?xf32>) {
  ^bb0(%score: f32, %out: f32):
    %i = linalg.index 2 : index
    %hidden = arith.cmpi slt, %length, %i : index
    %bias = arith.select %hidden, %low, %zero : f32
    %masked = arith.addf %score, %bias : f32
    linalg.yield %masked : f32
  } -> tensor<8x1x?xf32>
  %max = linalg.generic {indexing_maps = [#scores, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%y : tensor<8x1x?xf32>) outs(%most : tensor<8x1xf32>) {
  ^bb0(%x: f32, %out: f32):
    %m = arith.maximumf %x, %out : f32
    linalg.yield %m : f32
  } -> tensor<8x1xf32>
  return %max, %y : tensor<8x1xf32>, tensor<8x1x?xf32>
}

func.func @other(%q: tensor<8x1x4xf32>, %k: tensor<8x?x4xf32>, %length: index, %n: index) -> tensor<8x1x?xf32> {
  %low = arith.constant -3.0e38 : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%n) : tensor<8x1x?xf32>
  %s = dlc.contract %q, %k outs %e [#q, #k, #s] : tensor<8x1x4xf32>, tensor<8x?x4xf32>, tensor<8x1x?xf32> -> tensor<8x1x?xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  %y = linalg.generic {indexing_maps = [#scores, #scores], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s : tensor<8x1x?xf32>) outs(%e : tensor<8x1x?xf32>) {
  ^bb0(%score: f32, %out: f32):
    %i = linalg.index 2 : index
    %hidden = arith.cmpi slt, %length, %i : index
    %bias = arith.select %hidden, %low, %zero : f32
    %masked = arith.addf %score, %bias : f32
    linalg.yield %masked : f32
  } -> tensor<8x1x?xf32>
  return %y : tensor<8x1x?xf32>
}
