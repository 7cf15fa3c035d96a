// RUN: dlc-opt %s -dlc-fuse-elementwise | FileCheck %s
// RUN: dlc-opt %s -dlc-fuse-elementwise=limit=3 | FileCheck %s --check-prefix=LIMIT

#id2 = affine_map<(d0, d1) -> (d0, d1)>
#id = affine_map<(i) -> (i)>

// CHECK-LABEL: @chain
// CHECK-COUNT-1: linalg.generic
// CHECK: math.exp
// CHECK-NEXT: arith.negf
// CHECK-NOT: linalg.generic
// A body of two ops and their yields is more than three.
// LIMIT-LABEL: @chain
// LIMIT-COUNT-2: linalg.generic
func.func @chain(%x: tensor<?xf32>, %e: tensor<?xf32>) -> tensor<?xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<?xf32>) outs(%e : tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %1 = math.exp %a : f32
    linalg.yield %1 : f32
  } -> tensor<?xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%0 : tensor<?xf32>) outs(%e : tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %3 = arith.negf %a : f32
    linalg.yield %3 : f32
  } -> tensor<?xf32>
  return %2 : tensor<?xf32>
}

// A value with two uses would be computed twice.
// CHECK-LABEL: @twice
// CHECK-COUNT-2: linalg.generic
func.func @twice(%x: tensor<?xf32>, %e: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<?xf32>) outs(%e : tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %1 = math.exp %a : f32
    linalg.yield %1 : f32
  } -> tensor<?xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%0 : tensor<?xf32>) outs(%e : tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %3 = arith.negf %a : f32
    linalg.yield %3 : f32
  } -> tensor<?xf32>
  return %0, %2 : tensor<?xf32>, tensor<?xf32>
}

// The bytes that are made of a contraction's sums are left for its epilogue,
// whoever reads them; what is no end of sums is fused.
// CHECK-LABEL: @narrow
// CHECK: dlc.contract
// CHECK-COUNT-2: linalg.generic
// CHECK-NOT: linalg.generic
func.func @narrow(%a: tensor<4x8xi8>, %b: tensor<8x4xi8>, %i: tensor<4x4xi32>, %e: tensor<4x4xi8>, %y: tensor<4x4xi8>) -> tensor<4x4xi8> {
  %c = dlc.contract %a, %b outs %i [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>] : tensor<4x8xi8>, tensor<8x4xi8>, tensor<4x4xi32> -> tensor<4x4xi32> {
  ^bb0(%sum: i32):
    dlc.yield %sum : i32
  }
  %0 = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%c : tensor<4x4xi32>) outs(%e : tensor<4x4xi8>) {
  ^bb0(%p: i32, %q: i8):
    %3 = arith.trunci %p : i32 to i8
    linalg.yield %3 : i8
  } -> tensor<4x4xi8>
  %1 = linalg.generic {indexing_maps = [#id2, #id2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%0, %y : tensor<4x4xi8>, tensor<4x4xi8>) outs(%e : tensor<4x4xi8>) {
  ^bb0(%p: i8, %q: i8, %r: i8):
    %3 = arith.addi %p, %q : i8
    linalg.yield %3 : i8
  } -> tensor<4x4xi8>
  %2 = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%1 : tensor<4x4xi8>) outs(%e : tensor<4x4xi8>) {
  ^bb0(%p: i8, %q: i8):
    %3 = arith.muli %p, %p : i8
    linalg.yield %3 : i8
  } -> tensor<4x4xi8>
  return %2 : tensor<4x4xi8>
}
