// RUN: dlc-opt %s --dlc-widen-sums --canonicalize --split-input-file | FileCheck %s

#rows = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
#each = affine_map<(i) -> (i)>

// The sum of exponentials is one of f64, its inverse has two parts.

// CHECK-LABEL: func @softmax
// CHECK-SAME: %[[E:.*]]: tensor<4x8xf32>
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<4xf64>)
// CHECK: %[[WIDE:.*]] = arith.extf %{{.*}} : f32 to f64
// CHECK: arith.addf %{{.*}}, %[[WIDE]] fastmath<reassoc> : f64
// CHECK: %[[PARTS:.*]]:2 = linalg.generic {{.*}} ins(%[[SUM]] : tensor<4xf64>)
// CHECK: %[[INVERSE:.*]] = arith.divf
// CHECK: %[[HIGH:.*]] = arith.truncf %[[INVERSE]]
// CHECK: %[[ROUNDED:.*]] = arith.extf %[[HIGH]]
// CHECK: arith.subf %[[INVERSE]], %[[ROUNDED]]
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[PARTS]]#0, %[[PARTS]]#1
// CHECK: ^bb0(%[[X:.*]]: f32, %[[A:.*]]: f32, %[[B:.*]]: f32, %{{.*}}: f32):
// CHECK: %[[REST:.*]] = arith.mulf %[[X]], %[[B]]
// CHECK: math.fma %[[X]], %[[A]], %[[REST]]
func.func @softmax(%d: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %all = tensor.empty() : tensor<4x8xf32>
  %few = tensor.empty() : tensor<4xf32>
  %e = linalg.generic {indexing_maps = [#rows, #rows], iterator_types = ["parallel", "parallel"]}
      ins(%d : tensor<4x8xf32>) outs(%all : tensor<4x8xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = math.exp %x {dlc.softmax} : f32
    linalg.yield %0 : f32
  } -> tensor<4x8xf32>
  %start = linalg.fill ins(%zero : f32) outs(%few : tensor<4xf32>) -> tensor<4xf32>
  %sum = linalg.generic {indexing_maps = [#rows, #row], iterator_types = ["parallel", "reduction"]}
      ins(%e : tensor<4x8xf32>) outs(%start : tensor<4xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = arith.addf %o, %x fastmath<reassoc> : f32
    linalg.yield %0 : f32
  } -> tensor<4xf32>
  %inverse = linalg.generic {indexing_maps = [#each, #each], iterator_types = ["parallel"]}
      ins(%sum : tensor<4xf32>) outs(%few : tensor<4xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = arith.divf %one, %x : f32
    linalg.yield %0 : f32
  } -> tensor<4xf32>
  %y = linalg.generic {indexing_maps = [#rows, #row, #rows], iterator_types = ["parallel", "parallel"]}
      ins(%e, %inverse : tensor<4x8xf32>, tensor<4xf32>) outs(%all : tensor<4x8xf32>) {
  ^bb0(%x: f32, %i: f32, %o: f32):
    %0 = arith.mulf %x, %i : f32
    linalg.yield %0 : f32
  } -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

#columns = affine_map<(i, j) -> (i, j)>
#column = affine_map<(i, j) -> (j)>
#each = affine_map<(i) -> (i)>

// Along columns; the logarithm of how often there is a maximum, and all else.

// CHECK-LABEL: func @logarithm
// CHECK: %[[COUNT:.*]] = linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]} {{.*}} outs(%{{.*}} : tensor<8xi32>) attrs = {dlc.ones}
// CHECK: %[[REST:.*]] = linalg.generic
// CHECK: %[[POWER:.*]] = math.exp
// CHECK: arith.select %{{.*}}, %{{.*}}, %[[POWER]] : f32
// CHECK: -> tensor<8xf64>
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[REST]] : tensor<8xi32>, tensor<8xf64>)
// CHECK: math.log1p %{{.*}} : f64
func.func @logarithm(%d: tensor<4x8xf32>) -> tensor<8xf32> {
  %zero = arith.constant 0.0 : f32
  %few = tensor.empty() : tensor<8xf32>
  %start = linalg.fill ins(%zero : f32) outs(%few : tensor<8xf32>) -> tensor<8xf32>
  %sum = linalg.generic {indexing_maps = [#columns, #column], iterator_types = ["reduction", "parallel"]}
      ins(%d : tensor<4x8xf32>) outs(%start : tensor<8xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = math.exp %x {dlc.softmax} : f32
    %1 = arith.addf %o, %0 fastmath<reassoc> : f32
    linalg.yield %1 : f32
  } -> tensor<8xf32>
  %log = linalg.generic {indexing_maps = [#each, #each], iterator_types = ["parallel"]}
      ins(%sum : tensor<8xf32>) outs(%few : tensor<8xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = math.log %x : f32
    linalg.yield %0 : f32
  } -> tensor<8xf32>
  return %log : tensor<8xf32>
}

// -----

#rows = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>

// Another sum of exponentials, and one that something else reads.

// CHECK-LABEL: func @others
// CHECK-NOT: f64
func.func @others(%d: tensor<4x8xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0.0 : f32
  %few = tensor.empty() : tensor<4xf32>
  %start = linalg.fill ins(%zero : f32) outs(%few : tensor<4xf32>) -> tensor<4xf32>
  %sum = linalg.generic {indexing_maps = [#rows, #row], iterator_types = ["parallel", "reduction"]}
      ins(%d : tensor<4x8xf32>) outs(%start : tensor<4xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = math.exp %x : f32
    %1 = arith.addf %o, %0 fastmath<reassoc> : f32
    linalg.yield %1 : f32
  } -> tensor<4xf32>
  %log = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%sum : tensor<4xf32>) outs(%few : tensor<4xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = math.log %x : f32
    linalg.yield %0 : f32
  } -> tensor<4xf32>
  %marked = linalg.generic {indexing_maps = [#rows, #row], iterator_types = ["parallel", "reduction"]}
      ins(%d : tensor<4x8xf32>) outs(%start : tensor<4xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = math.exp %x {dlc.softmax} : f32
    %1 = arith.addf %o, %0 fastmath<reassoc> : f32
    linalg.yield %1 : f32
  } -> tensor<4xf32>
  %second = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%marked : tensor<4xf32>) outs(%few : tensor<4xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = math.log %x : f32
    linalg.yield %0 : f32
  } -> tensor<4xf32>
  return %log, %marked, %second : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
