// RUN: dlc-opt %s --dlc-fuse-attention='cache=1048576 lanes=16' -split-input-file | FileCheck %s

#q = affine_map<(b, m, n, k) -> (b, m, k)>
#kt = affine_map<(b, m, n, k) -> (b, k, n)>
#s = affine_map<(b, m, n, k) -> (b, m, n)>
#hidden = affine_map<(b, m, n, k) -> (m, n)>
#p = affine_map<(b, m, c, n) -> (b, m, n)>
#v = affine_map<(b, m, c, n) -> (b, n, c)>
#r = affine_map<(b, m, c, n) -> (b, m, c)>
#all = affine_map<(b, m, n) -> (b, m, n)>
#rows = affine_map<(b, m, n) -> (b, m)>
// A mask that gives each row the keys up to its number becomes a number. Scales
// in front of the products are one behind it, transpositions are read through.
// CHECK: #[[Q:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d1, d0, d3)>
// CHECK: #[[K:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d2, d3)>
// CHECK-LABEL: @causal
// CHECK-SAME: (%[[q:.*]]: tensor<3x2x4xf32>, %[[k:.*]]: tensor<2x3x4xf32>, %[[v:.*]]: tensor<2x3x4xf32>)
// CHECK: dlc.attention %[[q]], %[[k]], %[[v]] outs %{{.*}} [#[[Q]], #[[K]], #{{.*}}, #{{.*}}] {causal = array<i64: 1, 0>, tile = array<i64: 3, 3>}
// CHECK: ^bb0(%[[SUM:.*]]: f32):
// CHECK: %[[SCALE:.*]] = arith.constant 2.500000e-01 : f32
// CHECK: %[[SCORE:.*]] = arith.mulf %[[SUM]], %[[SCALE]]
// CHECK: dlc.yield %[[SCORE]]
// A hidden key in between: the mask stays.
// CHECK-LABEL: @other
// CHECK: dlc.attention %{{.*}}, %{{.*}}, %{{.*}} scores %{{.*}} : tensor<3x3xf32> outs
// CHECK-NOT: causal
// CHECK-SAME: tile = array<i64: 3, 3>
func.func @causal(%qt: tensor<3x2x4xf32>, %k: tensor<2x3x4xf32>, %v: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
  %mask = arith.constant dense<[[0.0, 0xFF800000, 0xFF800000], [0.0, 0.0, 0xFF800000], [0.0, 0.0, 0.0]]> : tensor<3x3xf32>
  %e = tensor.empty() : tensor<2x3x4xf32>
  %half = arith.constant 0.5 : f32
  %q0 = linalg.transpose ins(%qt : tensor<3x2x4xf32>) outs(%e : tensor<2x3x4xf32>) permutation = [1, 0, 2]
  %q = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%q0 : tensor<2x3x4xf32>) outs(%e : tensor<2x3x4xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = arith.mulf %x, %half : f32
    linalg.yield %0 : f32
  } -> tensor<2x3x4xf32>
  %ks = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%k : tensor<2x3x4xf32>) outs(%e : tensor<2x3x4xf32>) {
  ^bb0(%x: f32, %o: f32):
    %0 = arith.mulf %x, %half : f32
    linalg.yield %0 : f32
  } -> tensor<2x3x4xf32>
  %ke = tensor.empty() : tensor<2x4x3xf32>
  %kt = linalg.transpose ins(%ks : tensor<2x3x4xf32>) outs(%ke : tensor<2x4x3xf32>) permutation = [0, 2, 1]
  %se = tensor.empty() : tensor<2x3x3xf32>
  %re = tensor.empty() : tensor<2x3xf32>
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %s = dlc.contract %q, %kt extras %mask : tensor<3x3xf32> outs %se [#q, #kt, #hidden, #s] : tensor<2x3x4xf32>, tensor<2x4x3xf32>, tensor<2x3x3xf32> -> tensor<2x3x3xf32> {
  ^bb0(%x: f32, %h: f32):
    %0 = arith.addf %x, %h : f32
    dlc.yield %0 : f32
  }
  %mi = linalg.fill ins(%low : f32) outs(%re : tensor<2x3xf32>) -> tensor<2x3xf32>
  %max = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<2x3x3xf32>) outs(%mi : tensor<2x3xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.maximumf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x3xf32>
  %exp = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %max : tensor<2x3x3xf32>, tensor<2x3xf32>) outs(%se : tensor<2x3x3xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %0 = arith.subf %x, %y : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x3x3xf32>
  %si = linalg.fill ins(%zero : f32) outs(%re : tensor<2x3xf32>) -> tensor<2x3xf32>
  %sum = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%exp : tensor<2x3x3xf32>) outs(%si : tensor<2x3xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.addf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x3xf32>
  %p = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%exp, %sum : tensor<2x3x3xf32>, tensor<2x3xf32>) outs(%se : tensor<2x3x3xf32>) {
  ^bb0(%x: f32, %t: f32, %o: f32):
    %0 = arith.divf %x, %t : f32
    linalg.yield %0 : f32
  } -> tensor<2x3x3xf32>
  %y = dlc.contract %p, %v outs %e [#p, #v, #r] : tensor<2x3x3xf32>, tensor<2x3x4xf32>, tensor<2x3x4xf32> -> tensor<2x3x4xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  return %y : tensor<2x3x4xf32>
}
func.func @other(%q: tensor<2x3x4xf32>, %k: tensor<2x3x4xf32>, %v: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
  %mask = arith.constant dense<[[0.0, 0xFF800000, 0xFF800000], [0.0, 0.0, 0xFF800000], [0.0, 0xFF800000, 0.0]]> : tensor<3x3xf32>
  %e = tensor.empty() : tensor<2x3x4xf32>
  %ke = tensor.empty() : tensor<2x4x3xf32>
  %kt = linalg.transpose ins(%k : tensor<2x3x4xf32>) outs(%ke : tensor<2x4x3xf32>) permutation = [0, 2, 1]
  %se = tensor.empty() : tensor<2x3x3xf32>
  %re = tensor.empty() : tensor<2x3xf32>
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %s = dlc.contract %q, %kt extras %mask : tensor<3x3xf32> outs %se [#q, #kt, #hidden, #s] : tensor<2x3x4xf32>, tensor<2x4x3xf32>, tensor<2x3x3xf32> -> tensor<2x3x3xf32> {
  ^bb0(%x: f32, %h: f32):
    %0 = arith.addf %x, %h : f32
    dlc.yield %0 : f32
  }
  %mi = linalg.fill ins(%low : f32) outs(%re : tensor<2x3xf32>) -> tensor<2x3xf32>
  %max = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<2x3x3xf32>) outs(%mi : tensor<2x3xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.maximumf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x3xf32>
  %exp = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %max : tensor<2x3x3xf32>, tensor<2x3xf32>) outs(%se : tensor<2x3x3xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %0 = arith.subf %x, %y : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x3x3xf32>
  %si = linalg.fill ins(%zero : f32) outs(%re : tensor<2x3xf32>) -> tensor<2x3xf32>
  %sum = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%exp : tensor<2x3x3xf32>) outs(%si : tensor<2x3xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.addf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x3xf32>
  %p = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%exp, %sum : tensor<2x3x3xf32>, tensor<2x3xf32>) outs(%se : tensor<2x3x3xf32>) {
  ^bb0(%x: f32, %t: f32, %o: f32):
    %0 = arith.divf %x, %t : f32
    linalg.yield %0 : f32
  } -> tensor<2x3x3xf32>
  %y = dlc.contract %p, %v outs %e [#p, #v, #r] : tensor<2x3x3xf32>, tensor<2x3x4xf32>, tensor<2x3x4xf32> -> tensor<2x3x4xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  return %y : tensor<2x3x4xf32>
}
