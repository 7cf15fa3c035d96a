// RUN: dlc-opt %s --pass-pipeline="builtin.module(func.func(dlc-split-reductions))" --split-input-file | FileCheck %s

// A sum of all elements: parts of rows, then their sum, which begins with what
// the whole one began with.
// CHECK: #[[IN:.+]] = affine_map<(d0, d1, d2) -> (d1, d0, d2)>
// CHECK: #[[PART:.+]] = affine_map<(d0, d1, d2) -> (d0)>
// CHECK-LABEL: func @all
// CHECK-SAME:  %[[X:.*]]: tensor<1x65536xf32>, %[[INIT:.*]]: tensor<f32>
// CHECK-DAG:   %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK-DAG:   %[[PARTS:.*]] = tensor.expand_shape %[[X]] {{\[\[}}0], [1, 2]] output_shape [1, 32, 2048]
// CHECK-DAG:   %[[FILL:.*]] = linalg.fill ins(%[[ZERO]] : f32) outs(%{{.*}} : tensor<32xf32>)
// CHECK:       %[[SUMS:.*]] = linalg.generic {indexing_maps = [#[[IN]], #[[PART]]], iterator_types = ["parallel", "reduction", "reduction"]} ins(%[[PARTS]] : {{.*}}) outs(%[[FILL]]
// CHECK:         arith.mulf
// CHECK:         arith.addf
// CHECK:       linalg.generic {{.*}} iterator_types = ["reduction"]} ins(%[[SUMS]] : tensor<32xf32>) outs(%[[INIT]] : tensor<f32>)
// CHECK-NOT:     arith.mulf
// CHECK:         arith.addf
func.func @all(%x: tensor<1x65536xf32>, %init: tensor<f32>) -> tensor<f32> {
  %0 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> ()>], iterator_types = ["reduction", "reduction"]} ins(%x : tensor<1x65536xf32>) outs(%init : tensor<f32>) {
  ^bb0(%a: f32, %s: f32):
    %1 = arith.mulf %a, %a : f32
    %2 = arith.addf %s, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<f32>
  return %0 : tensor<f32>
}

// -----

// Across memory a thread makes a result: more parts of fewer elements.
// CHECK-LABEL: func @columns
// CHECK:       tensor.expand_shape %{{.*}} {{\[\[}}0, 1], [2]] output_shape [128, 64, 16]
// CHECK:       linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]} {{.*}} outs(%{{.*}} : tensor<16x128xi32>)
// CHECK:       linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]}
func.func @columns(%x: tensor<8192x16xi32>, %init: tensor<16xi32>) -> tensor<16xi32> {
  %0 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>], iterator_types = ["reduction", "parallel"]} ins(%x : tensor<8192x16xi32>) outs(%init : tensor<16xi32>) {
  ^bb0(%a: i32, %s: i32):
    %1 = arith.maxsi %s, %a : i32
    linalg.yield %1 : i32
  } -> tensor<16xi32>
  return %0 : tensor<16xi32>
}

// -----

// Many rows, unknown sizes, and what no other order gives the same result.
// CHECK-LABEL: func @not
// CHECK-NOT:   expand_shape
func.func @not(%x: tensor<64x65536xf32>, %y: tensor<?xf32>, %z: tensor<65536xf32>, %init: tensor<64xf32>, %one: tensor<f32>) -> (tensor<64xf32>, tensor<f32>, tensor<f32>) {
  %0 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<64x65536xf32>) outs(%init : tensor<64xf32>) {
  ^bb0(%a: f32, %s: f32):
    %1 = arith.addf %s, %a : f32
    linalg.yield %1 : f32
  } -> tensor<64xf32>
  %2 = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]} ins(%y : tensor<?xf32>) outs(%one : tensor<f32>) {
  ^bb0(%a: f32, %s: f32):
    %1 = arith.addf %s, %a : f32
    linalg.yield %1 : f32
  } -> tensor<f32>
  %3 = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]} ins(%z : tensor<65536xf32>) outs(%one : tensor<f32>) {
  ^bb0(%a: f32, %s: f32):
    %1 = arith.divf %s, %a : f32
    linalg.yield %1 : f32
  } -> tensor<f32>
  return %0, %2, %3 : tensor<64xf32>, tensor<f32>, tensor<f32>
}
