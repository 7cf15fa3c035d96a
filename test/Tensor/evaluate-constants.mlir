// RUN: dlc-opt %s -dlc-evaluate-constants -canonicalize -cse -split-input-file | FileCheck %s --check-prefixes=CHECK,INIT
// RUN: dlc-opt %s -dlc-evaluate-constants="expand=object" -canonicalize -cse -split-input-file | FileCheck %s --check-prefixes=CHECK,OBJECT
// RUN: not dlc-opt %s -dlc-evaluate-constants="expand=never" -split-input-file 2>&1 | FileCheck %s --check-prefix=NEVER
// NEVER: error: expected constants to be expanded by init or in the object, found 'never'

// What is small is evaluated at compile time, also for what is large, which
// @init makes; equal ones are made once.
#row = affine_map<(i, j) -> (j)>
#all = affine_map<(i, j) -> (i, j)>
// CHECK-LABEL: func.func @main
// INIT-DAG: %[[A:.*]] = dlc.expanded 0 : tensor<256x128xf32>
// INIT-DAG: %[[S:.*]] = arith.constant dense_resource<{{.*}}> : tensor<128xf32>
// INIT: return %[[A]], {{.*}}, %[[S]]
// INIT-LABEL: func.func @init() -> (tensor<256x128xf32>, tensor<256x128xf32>)
// INIT: %[[C:.*]] = arith.constant dense_resource<{{.*}}> : tensor<128xf32>
// INIT-NOT: linalg.add
// INIT: %[[U:.*]] = linalg.generic {{.*}} ins(%[[C]] : tensor<128xf32>)
// INIT-NOT: dlc.expand
// INIT: return %[[U]], %[[U]]
// OBJECT: arith.constant dense_resource<{{.*}}> : tensor<256x128xf32>
// OBJECT-NOT: dlc.expanded
// OBJECT-NOT: @init
func.func @main() -> (tensor<256x128xf32>, tensor<256x128xf32>, tensor<128xf32>) {
  %w = arith.constant dense<1.5> : tensor<128xf32>
  %e = tensor.empty() : tensor<128xf32>
  %s = linalg.add ins(%w, %w : tensor<128xf32>, tensor<128xf32>) outs(%e : tensor<128xf32>) -> tensor<128xf32>
  %v = linalg.mul ins(%w, %s : tensor<128xf32>, tensor<128xf32>) outs(%e : tensor<128xf32>) -> tensor<128xf32>
  %v2 = linalg.mul ins(%s, %w : tensor<128xf32>, tensor<128xf32>) outs(%e : tensor<128xf32>) -> tensor<128xf32>
  %f = tensor.empty() : tensor<256x128xf32>
  %a = linalg.generic {indexing_maps = [#row, #all], iterator_types = ["parallel", "parallel"]}
      ins(%v : tensor<128xf32>) outs(%f : tensor<256x128xf32>) attrs = {dlc.expand} {
  ^bb0(%x: f32, %y: f32):
    linalg.yield %x : f32
  } -> tensor<256x128xf32>
  %b = linalg.generic {indexing_maps = [#row, #all], iterator_types = ["parallel", "parallel"]}
      ins(%v2 : tensor<128xf32>) outs(%f : tensor<256x128xf32>) attrs = {dlc.expand} {
  ^bb0(%x: f32, %y: f32):
    linalg.yield %x : f32
  } -> tensor<256x128xf32>
  return %a, %b, %s : tensor<256x128xf32>, tensor<256x128xf32>, tensor<128xf32>
}

// -----

// What is made of a large value and is as large follows it; what is small
// again is evaluated at compile time.
#row = affine_map<(i, j) -> (j)>
#all = affine_map<(i, j) -> (i, j)>
// CHECK-LABEL: func.func @main
// INIT-DAG: arith.constant dense<{{.*}}> : tensor<2xf32>
// INIT-DAG: dlc.expanded 0 : tensor<256x128xf32>
// INIT: @init
// INIT: linalg.exp
func.func @main() -> (tensor<256x128xf32>, tensor<2xf32>) {
  %w = arith.constant dense<1.5> : tensor<128xf32>
  %f = tensor.empty() : tensor<256x128xf32>
  %a = linalg.generic {indexing_maps = [#row, #all], iterator_types = ["parallel", "parallel"]}
      ins(%w : tensor<128xf32>) outs(%f : tensor<256x128xf32>) {
  ^bb0(%x: f32, %y: f32):
    linalg.yield %x : f32
  } -> tensor<256x128xf32>
  %b = linalg.exp ins(%a : tensor<256x128xf32>) outs(%f : tensor<256x128xf32>) -> tensor<256x128xf32>
  %slice = tensor.extract_slice %b[0, 0] [1, 2] [1, 1] : tensor<256x128xf32> to tensor<2xf32>
  %e = tensor.empty() : tensor<2xf32>
  %c = linalg.negf ins(%slice : tensor<2xf32>) outs(%e : tensor<2xf32>) -> tensor<2xf32>
  return %b, %c : tensor<256x128xf32>, tensor<2xf32>
}

// -----

// Constants in branches and loops; what depends on the run stays.
// CHECK-LABEL: func.func @main
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<2x2xf32>
// CHECK: %[[T:.*]] = arith.constant dense<{{.*}}1.0{{.*}}, {{.*}}3.0{{.*}}> : tensor<2x2xf32>
// CHECK: scf.if
// CHECK-NOT: linalg.transpose ins(%cst
// CHECK: scf.for
// CHECK: linalg.transpose ins(%[[X]]
// CHECK: linalg.fill
// CHECK: linalg.add ins({{.*}}, %[[T]]
func.func @main(%x: tensor<2x2xf32>, %c: i1) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %r = scf.if %c -> tensor<2x2xf32> {
    %s = scf.for %i = %c0 to %c9 step %c1 iter_args(%sum = %x) -> tensor<2x2xf32> {
      %e = tensor.empty() : tensor<2x2xf32>
      %t = linalg.transpose ins(%w : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) permutation = [1, 0]
      %u = linalg.transpose ins(%x : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) permutation = [1, 0]
      %f = linalg.fill ins(%zero : f32) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
      %p = linalg.matmul ins(%u, %sum : tensor<2x2xf32>, tensor<2x2xf32>) outs(%f : tensor<2x2xf32>) -> tensor<2x2xf32>
      %q = linalg.add ins(%p, %t : tensor<2x2xf32>, tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
      scf.yield %q : tensor<2x2xf32>
    }
    scf.yield %s : tensor<2x2xf32>
  } else {
    scf.yield %x : tensor<2x2xf32>
  }
  return %r : tensor<2x2xf32>
}

// -----

// A destination is copied out of a loop before what fills it.
// CHECK-LABEL: func.func @main
// CHECK: %[[W:.*]] = arith.constant dense<{{.*}}7.0{{.*}}, {{.*}}2.200000e+01{{.*}}> : tensor<2x2xf32>
// CHECK: scf.for
// CHECK-NEXT: tensor.empty
// CHECK-NEXT: linalg.add ins(%{{.*}}, %[[W]]
func.func @main(%x: tensor<2x2xf32>, %n: index) -> tensor<2x2xf32> {
  %w = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%sum = %x) -> tensor<2x2xf32> {
    %e = tensor.empty() : tensor<2x2xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
    %p = linalg.matmul ins(%w, %w : tensor<2x2xf32>, tensor<2x2xf32>) outs(%f : tensor<2x2xf32>) -> tensor<2x2xf32>
    %q = linalg.add ins(%sum, %p : tensor<2x2xf32>, tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
    scf.yield %q : tensor<2x2xf32>
  }
  return %r : tensor<2x2xf32>
}

// -----

// F(2x2, 3x3): less than twice as large, but marked.
// CHECK-LABEL: func.func @main
// INIT: dlc.expanded 0 : tensor<4x4x64x64xf32>
// OBJECT: arith.constant dense_resource<{{.*}}> : tensor<4x4x64x64xf32>
func.func @main() -> tensor<4x4x64x64xf32> {
  %w = arith.constant dense<1.5> : tensor<3x3x64x64xf32>
  %e = tensor.empty() : tensor<4x4x64x64xf32>
  %u = dlc.winograd_weights %w outs %e [0, 1] <height = 2, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12> {dlc.expand} : tensor<3x3x64x64xf32>, tensor<4x4x64x64xf32> -> tensor<4x4x64x64xf32>
  return %u : tensor<4x4x64x64xf32>
}
