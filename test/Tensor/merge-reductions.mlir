// RUN: dlc-opt %s --dlc-merge-reductions --split-input-file | FileCheck %s

#x = affine_map<(i, j) -> (i, j)>
#n = affine_map<(i, j) -> ()>
// CHECK-LABEL: func.func @range
// CHECK-SAME:  (%[[X:.*]]: tensor<56x?xf32>, %[[Z:.*]]: tensor<56x?xf32>)
// CHECK:       %[[BOTH:.*]]:2 = linalg.generic {{.*}} ins(%[[X]] : tensor<56x?xf32>) outs(%{{.*}}, %{{.*}} : tensor<f32>, tensor<f32>)
// CHECK-NEXT:  ^bb0(%[[A:.*]]: f32, %[[L:.*]]: f32, %[[H:.*]]: f32):
// CHECK-NEXT:    %[[LOW:.*]] = arith.minimumf %[[L]], %[[A]]
// CHECK-NEXT:    %[[HIGH:.*]] = arith.maximumf %[[H]], %[[A]]
// CHECK-NEXT:    linalg.yield %[[LOW]], %[[HIGH]]
// CHECK:       %[[OTHER:.*]] = linalg.generic {{.*}} ins(%[[Z]] :
// CHECK:       return %[[BOTH]]#0, %[[OTHER]], %[[BOTH]]#1
func.func @range(%x: tensor<56x?xf32>, %z: tensor<56x?xf32>) -> (tensor<f32>, tensor<f32>, tensor<f32>) {
  %most = arith.constant 0x7F800000 : f32
  %least = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<f32>
  %from = linalg.fill ins(%most : f32) outs(%e : tensor<f32>) -> tensor<f32>
  %low = linalg.generic {indexing_maps = [#x, #n], iterator_types = ["reduction", "reduction"]}
      ins(%x : tensor<56x?xf32>) outs(%from : tensor<f32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.minimumf %b, %a : f32
    linalg.yield %0 : f32
  } -> tensor<f32>
  %other = linalg.generic {indexing_maps = [#x, #n], iterator_types = ["reduction", "reduction"]}
      ins(%z : tensor<56x?xf32>) outs(%from : tensor<f32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.minimumf %b, %a : f32
    linalg.yield %0 : f32
  } -> tensor<f32>
  %to = linalg.fill ins(%least : f32) outs(%e : tensor<f32>) -> tensor<f32>
  %high = linalg.generic {indexing_maps = [#x, #n], iterator_types = ["reduction", "reduction"]}
      ins(%x : tensor<56x?xf32>) outs(%to : tensor<f32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.maximumf %b, %a : f32
    linalg.yield %0 : f32
  } -> tensor<f32>
  return %low, %other, %high : tensor<f32>, tensor<f32>, tensor<f32>
}

// -----

// One starts from the other's result; and rows are for other passes.
#x = affine_map<(i, j) -> (i, j)>
#n = affine_map<(i, j) -> ()>
#r = affine_map<(i, j) -> (i)>
// CHECK-LABEL: func.func @others
// CHECK-COUNT-4: -> tensor<
// CHECK-NOT: :2 =
func.func @others(%x: tensor<56x64xf32>, %s: tensor<f32>, %rows: tensor<56xf32>)
    -> (tensor<f32>, tensor<56xf32>, tensor<56xf32>) {
  %sum = linalg.generic {indexing_maps = [#x, #n], iterator_types = ["reduction", "reduction"]}
      ins(%x : tensor<56x64xf32>) outs(%s : tensor<f32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %b, %a : f32
    linalg.yield %0 : f32
  } -> tensor<f32>
  %high = linalg.generic {indexing_maps = [#x, #n], iterator_types = ["reduction", "reduction"]}
      ins(%x : tensor<56x64xf32>) outs(%sum : tensor<f32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.maximumf %b, %a : f32
    linalg.yield %0 : f32
  } -> tensor<f32>
  %r0 = linalg.generic {indexing_maps = [#x, #r], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<56x64xf32>) outs(%rows : tensor<56xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %b, %a : f32
    linalg.yield %0 : f32
  } -> tensor<56xf32>
  %r1 = linalg.generic {indexing_maps = [#x, #r], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<56x64xf32>) outs(%rows : tensor<56xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.maximumf %b, %a : f32
    linalg.yield %0 : f32
  } -> tensor<56xf32>
  return %high, %r0, %r1 : tensor<f32>, tensor<56xf32>, tensor<56xf32>
}

// -----

// A body that uses a value from between the two.
#x = affine_map<(i) -> (i)>
#n = affine_map<(i) -> ()>
// CHECK-LABEL: func.func @between
// CHECK-NOT: :2 =
func.func @between(%x: tensor<56xi32>, %s: tensor<i32>, %a: i32) -> (tensor<i32>, tensor<i32>) {
  %low = linalg.generic {indexing_maps = [#x, #n], iterator_types = ["reduction"]}
      ins(%x : tensor<56xi32>) outs(%s : tensor<i32>) {
  ^bb0(%in: i32, %out: i32):
    %0 = arith.minsi %out, %in : i32
    linalg.yield %0 : i32
  } -> tensor<i32>
  %b = arith.addi %a, %a : i32
  %high = linalg.generic {indexing_maps = [#x, #n], iterator_types = ["reduction"]}
      ins(%x : tensor<56xi32>) outs(%s : tensor<i32>) {
  ^bb0(%in: i32, %out: i32):
    %0 = arith.addi %in, %b : i32
    %1 = arith.maxsi %out, %0 : i32
    linalg.yield %1 : i32
  } -> tensor<i32>
  return %low, %high : tensor<i32>, tensor<i32>
}
