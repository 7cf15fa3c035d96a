// RUN: dlc-opt %s --dlc-fuse-attention -split-input-file | FileCheck %s

#q = affine_map<(b, m, n, k) -> (b, m, k)>
#kt = affine_map<(b, m, n, k) -> (b, k, n)>
#s = affine_map<(b, m, n, k) -> (b, m, n)>
#hidden = affine_map<(b, m, n, k) -> (m, n)>
#p = affine_map<(b, m, c, n) -> (b, m, n)>
#v = affine_map<(b, m, c, n) -> (b, n, c)>
#r = affine_map<(b, m, c, n) -> (b, m, c)>
#all = affine_map<(b, m, n) -> (b, m, n)>
#rows = affine_map<(b, m, n) -> (b, m)>
#none = affine_map<(b, m, n) -> (m, 0)>
// Keys as they lie, no score outside.
// CHECK-DAG: #[[Q:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d3)>
// CHECK-DAG: #[[K:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d2, d3)>
// CHECK-DAG: #[[V:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d2, d4)>
// CHECK-DAG: #[[C:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4)>
// CHECK-LABEL: @plain
// CHECK-SAME: (%[[q:.*]]: tensor<2x6x4xf32>, %[[k:.*]]: tensor<2x8x4xf32>, %[[v:.*]]: tensor<2x8x4xf32>, %
// CHECK-NOT: linalg.generic
// CHECK: dlc.attention %[[q]], %[[k]], %[[v]] outs %{{.*}} [#[[Q]], #[[K]], #[[V]], #[[C]]]
// CHECK-NOT: linalg.generic
func.func @plain(%q: tensor<2x6x4xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x8x4xf32>, %mask: tensor<6x8xf32>, %dead: tensor<6x1xi1>) -> tensor<2x6x4xf32> {
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ke = tensor.empty() : tensor<2x4x8xf32>
  %kt = linalg.transpose ins(%k : tensor<2x8x4xf32>) outs(%ke : tensor<2x4x8xf32>) permutation = [0, 2, 1]
  %se = tensor.empty() : tensor<2x6x8xf32>
  %re = tensor.empty() : tensor<2x6xf32>
  %s = dlc.contract %q, %kt outs %se [#q, #kt, #s] : tensor<2x6x4xf32>, tensor<2x4x8xf32>, tensor<2x6x8xf32> -> tensor<2x6x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %mi = linalg.fill ins(%low : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %max = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<2x6x8xf32>) outs(%mi : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.maximumf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %exp = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %max : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %0 = arith.subf %x, %y : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x6x8xf32>
  %si = linalg.fill ins(%zero : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %sum = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%exp : tensor<2x6x8xf32>) outs(%si : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.addf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %p = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%exp, %sum : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%e: f32, %t: f32, %o: f32):
    %0 = arith.divf %one, %t : f32
    %1 = arith.mulf %e, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x6x8xf32>
  %ce = tensor.empty() : tensor<2x6x4xf32>
  %r = dlc.contract %p, %v outs %ce [#p, #v, #r] : tensor<2x6x8xf32>, tensor<2x8x4xf32>, tensor<2x6x4xf32> -> tensor<2x6x4xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  return %r : tensor<2x6x4xf32>
}

// -----

#q = affine_map<(b, m, n, k) -> (b, m, k)>
#kt = affine_map<(b, m, n, k) -> (b, k, n)>
#s = affine_map<(b, m, n, k) -> (b, m, n)>
#hidden = affine_map<(b, m, n, k) -> (m, n)>
#p = affine_map<(b, m, c, n) -> (b, m, n)>
#v = affine_map<(b, m, c, n) -> (b, n, c)>
#r = affine_map<(b, m, c, n) -> (b, m, c)>
#all = affine_map<(b, m, n) -> (b, m, n)>
#rows = affine_map<(b, m, n) -> (b, m)>
#none = affine_map<(b, m, n) -> (m, 0)>
// A mask on the scores, rows that are 0.
// CHECK-LABEL: @masked
// CHECK: dlc.attention {{.*}} scores %{{.*}} : tensor<6x8xf32> extras %{{.*}} : tensor<6x1xi1> outs
// CHECK: ^bb0(%[[s:.*]]: f32, %[[m:.*]]: f32):
// CHECK-NEXT: arith.addf %[[s]], %[[m]]
// CHECK: ^bb0(%[[sum:.*]]: f32, %[[dead:.*]]: i1):
// CHECK: arith.select %[[dead]], %{{.*}}, %[[sum]]
func.func @masked(%q: tensor<2x6x4xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x8x4xf32>, %mask: tensor<6x8xf32>, %dead: tensor<6x1xi1>) -> tensor<2x6x4xf32> {
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ke = tensor.empty() : tensor<2x4x8xf32>
  %kt = linalg.transpose ins(%k : tensor<2x8x4xf32>) outs(%ke : tensor<2x4x8xf32>) permutation = [0, 2, 1]
  %se = tensor.empty() : tensor<2x6x8xf32>
  %re = tensor.empty() : tensor<2x6xf32>
  %s = dlc.contract %q, %kt extras %mask : tensor<6x8xf32> outs %se [#q, #kt, #hidden, #s] : tensor<2x6x4xf32>, tensor<2x4x8xf32>, tensor<2x6x8xf32> -> tensor<2x6x8xf32> {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.addf %x, %y : f32
    dlc.yield %0 : f32
  }
  %mi = linalg.fill ins(%low : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %max = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<2x6x8xf32>) outs(%mi : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.maximumf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %exp = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %max : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %0 = arith.subf %x, %y : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x6x8xf32>
  %si = linalg.fill ins(%zero : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %sum = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%exp : tensor<2x6x8xf32>) outs(%si : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.addf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %p = linalg.generic {indexing_maps = [#all, #rows, #none, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%exp, %sum, %dead : tensor<2x6x8xf32>, tensor<2x6xf32>, tensor<6x1xi1>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%e: f32, %t: f32, %d: i1, %o: f32):
    %0 = arith.divf %one, %t : f32
    %1 = arith.mulf %e, %0 : f32
    %2 = arith.select %d, %zero, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<2x6x8xf32>
  %ce = tensor.empty() : tensor<2x6x4xf32>
  %r = dlc.contract %p, %v outs %ce [#p, #v, #r] : tensor<2x6x8xf32>, tensor<2x8x4xf32>, tensor<2x6x4xf32> -> tensor<2x6x4xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  return %r : tensor<2x6x4xf32>
}

// -----

#q = affine_map<(b, m, n, k) -> (b, m, k)>
#kt = affine_map<(b, m, n, k) -> (b, k, n)>
#s = affine_map<(b, m, n, k) -> (b, m, n)>
#hidden = affine_map<(b, m, n, k) -> (m, n)>
#p = affine_map<(b, m, c, n) -> (b, m, n)>
#v = affine_map<(b, m, c, n) -> (b, n, c)>
#r = affine_map<(b, m, c, n) -> (b, m, c)>
#all = affine_map<(b, m, n) -> (b, m, n)>
#rows = affine_map<(b, m, n) -> (b, m)>
#none = affine_map<(b, m, n) -> (m, 0)>
// Somebody else wants the weights.
// CHECK-LABEL: @weights_used
// CHECK-NOT: dlc.attention
// CHECK: return
func.func @weights_used(%q: tensor<2x6x4xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x8x4xf32>, %mask: tensor<6x8xf32>, %dead: tensor<6x1xi1>) -> tensor<2x6x8xf32> {
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ke = tensor.empty() : tensor<2x4x8xf32>
  %kt = linalg.transpose ins(%k : tensor<2x8x4xf32>) outs(%ke : tensor<2x4x8xf32>) permutation = [0, 2, 1]
  %se = tensor.empty() : tensor<2x6x8xf32>
  %re = tensor.empty() : tensor<2x6xf32>
  %s = dlc.contract %q, %kt outs %se [#q, #kt, #s] : tensor<2x6x4xf32>, tensor<2x4x8xf32>, tensor<2x6x8xf32> -> tensor<2x6x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %mi = linalg.fill ins(%low : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %max = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<2x6x8xf32>) outs(%mi : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.maximumf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %exp = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %max : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %0 = arith.subf %x, %y : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x6x8xf32>
  %si = linalg.fill ins(%zero : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %sum = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%exp : tensor<2x6x8xf32>) outs(%si : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.addf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %p = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%exp, %sum : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%e: f32, %t: f32, %o: f32):
    %0 = arith.divf %one, %t : f32
    %1 = arith.mulf %e, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x6x8xf32>
  %ce = tensor.empty() : tensor<2x6x4xf32>
  %r = dlc.contract %p, %v outs %ce [#p, #v, #r] : tensor<2x6x8xf32>, tensor<2x8x4xf32>, tensor<2x6x4xf32> -> tensor<2x6x4xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  return %p : tensor<2x6x8xf32>
}

// -----

#q = affine_map<(b, m, n, k) -> (b, m, k)>
#kt = affine_map<(b, m, n, k) -> (b, k, n)>
#s = affine_map<(b, m, n, k) -> (b, m, n)>
#hidden = affine_map<(b, m, n, k) -> (m, n)>
#p = affine_map<(b, m, c, n) -> (b, m, n)>
#v = affine_map<(b, m, c, n) -> (b, n, c)>
#r = affine_map<(b, m, c, n) -> (b, m, c)>
#all = affine_map<(b, m, n) -> (b, m, n)>
#rows = affine_map<(b, m, n) -> (b, m)>
#none = affine_map<(b, m, n) -> (m, 0)>
// Single weights are 0 behind the softmax: the rest does not sum up to 1.
// CHECK-LABEL: @hidden_weights
// CHECK-NOT: dlc.attention
// CHECK: return
func.func @hidden_weights(%q: tensor<2x6x4xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x8x4xf32>, %mask: tensor<6x8xf32>, %keep: tensor<6x8xi1>) -> tensor<2x6x4xf32> {
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ke = tensor.empty() : tensor<2x4x8xf32>
  %kt = linalg.transpose ins(%k : tensor<2x8x4xf32>) outs(%ke : tensor<2x4x8xf32>) permutation = [0, 2, 1]
  %se = tensor.empty() : tensor<2x6x8xf32>
  %re = tensor.empty() : tensor<2x6xf32>
  %s = dlc.contract %q, %kt outs %se [#q, #kt, #s] : tensor<2x6x4xf32>, tensor<2x4x8xf32>, tensor<2x6x8xf32> -> tensor<2x6x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %mi = linalg.fill ins(%low : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %max = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<2x6x8xf32>) outs(%mi : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.maximumf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %exp = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %max : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %0 = arith.subf %x, %y : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x6x8xf32>
  %si = linalg.fill ins(%zero : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %sum = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%exp : tensor<2x6x8xf32>) outs(%si : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.addf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %p = linalg.generic {indexing_maps = [#all, #rows, affine_map<(b, m, n) -> (m, n)>, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%exp, %sum, %keep : tensor<2x6x8xf32>, tensor<2x6xf32>, tensor<6x8xi1>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%e: f32, %t: f32, %d: i1, %o: f32):
    %0 = arith.divf %one, %t : f32
    %1 = arith.mulf %e, %0 : f32
    %2 = arith.select %d, %zero, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<2x6x8xf32>
  %ce = tensor.empty() : tensor<2x6x4xf32>
  %r = dlc.contract %p, %v outs %ce [#p, #v, #r] : tensor<2x6x8xf32>, tensor<2x8x4xf32>, tensor<2x6x4xf32> -> tensor<2x6x4xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  return %r : tensor<2x6x4xf32>
}

// -----

#q = affine_map<(b, m, n, k) -> (b, m, k)>
#kt = affine_map<(b, m, n, k) -> (b, k, n)>
#s = affine_map<(b, m, n, k) -> (b, m, n)>
#hidden = affine_map<(b, m, n, k) -> (m, n)>
#p = affine_map<(b, m, c, n) -> (b, m, n)>
#v = affine_map<(b, m, c, n) -> (b, n, c)>
#r = affine_map<(b, m, c, n) -> (b, m, c)>
#all = affine_map<(b, m, n) -> (b, m, n)>
#rows = affine_map<(b, m, n) -> (b, m)>
#none = affine_map<(b, m, n) -> (m, 0)>
// The sum is of something else.
// CHECK-LABEL: @other_sum
// CHECK-NOT: dlc.attention
// CHECK: return
func.func @other_sum(%q: tensor<2x6x4xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x8x4xf32>, %mask: tensor<6x8xf32>, %dead: tensor<6x1xi1>) -> tensor<2x6x4xf32> {
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ke = tensor.empty() : tensor<2x4x8xf32>
  %kt = linalg.transpose ins(%k : tensor<2x8x4xf32>) outs(%ke : tensor<2x4x8xf32>) permutation = [0, 2, 1]
  %se = tensor.empty() : tensor<2x6x8xf32>
  %re = tensor.empty() : tensor<2x6xf32>
  %s = dlc.contract %q, %kt outs %se [#q, #kt, #s] : tensor<2x6x4xf32>, tensor<2x4x8xf32>, tensor<2x6x8xf32> -> tensor<2x6x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %mi = linalg.fill ins(%low : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %max = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<2x6x8xf32>) outs(%mi : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.maximumf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %exp = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %max : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %0 = arith.subf %x, %y : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x6x8xf32>
  %si = linalg.fill ins(%zero : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %sum = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<2x6x8xf32>) outs(%si : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.addf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %p = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%exp, %sum : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%e: f32, %t: f32, %o: f32):
    %0 = arith.divf %one, %t : f32
    %1 = arith.mulf %e, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x6x8xf32>
  %ce = tensor.empty() : tensor<2x6x4xf32>
  %r = dlc.contract %p, %v outs %ce [#p, #v, #r] : tensor<2x6x8xf32>, tensor<2x8x4xf32>, tensor<2x6x4xf32> -> tensor<2x6x4xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  return %r : tensor<2x6x4xf32>
}

// -----

#q = affine_map<(b, m, n, k) -> (b, m, k)>
#kt = affine_map<(b, m, n, k) -> (b, k, n)>
#s = affine_map<(b, m, n, k) -> (b, m, n)>
#hidden = affine_map<(b, m, n, k) -> (m, n)>
#p = affine_map<(b, m, c, n) -> (b, m, n)>
#v = affine_map<(b, m, c, n) -> (b, n, c)>
#r = affine_map<(b, m, c, n) -> (b, m, c)>
#all = affine_map<(b, m, n) -> (b, m, n)>
#rows = affine_map<(b, m, n) -> (b, m)>
#row = affine_map<(b, m) -> (b, m)>
#none = affine_map<(b, m, n) -> (m, 0)>
// The inverses of the sums are an op of their own, once a row.
// CHECK-LABEL: @inverses
// CHECK-NOT: linalg.generic
// CHECK: dlc.attention
// CHECK-NOT: linalg.generic
func.func @inverses(%q: tensor<2x6x4xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x8x4xf32>, %mask: tensor<6x8xf32>, %dead: tensor<6x1xi1>) -> tensor<2x6x4xf32> {
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ke = tensor.empty() : tensor<2x4x8xf32>
  %kt = linalg.transpose ins(%k : tensor<2x8x4xf32>) outs(%ke : tensor<2x4x8xf32>) permutation = [0, 2, 1]
  %se = tensor.empty() : tensor<2x6x8xf32>
  %re = tensor.empty() : tensor<2x6xf32>
  %s = dlc.contract %q, %kt outs %se [#q, #kt, #s] : tensor<2x6x4xf32>, tensor<2x4x8xf32>, tensor<2x6x8xf32> -> tensor<2x6x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %mi = linalg.fill ins(%low : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %max = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<2x6x8xf32>) outs(%mi : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.maximumf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %exp = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %max : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %0 = arith.subf %x, %y : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x6x8xf32>
  %si = linalg.fill ins(%zero : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %sum = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%exp : tensor<2x6x8xf32>) outs(%si : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.addf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %two = arith.constant 2.0 : f32
  %inv = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%sum : tensor<2x6xf32>) outs(%re : tensor<2x6xf32>) {
  ^bb0(%t: f32, %o: f32):
    %0 = arith.divf %one, %t : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %p = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%exp, %inv : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%e: f32, %t: f32, %o: f32):
    %0 = arith.mulf %e, %t : f32
    linalg.yield %0 : f32
  } -> tensor<2x6x8xf32>
  %ce = tensor.empty() : tensor<2x6x4xf32>
  %r = dlc.contract %p, %v outs %ce [#p, #v, #r] : tensor<2x6x8xf32>, tensor<2x8x4xf32>, tensor<2x6x4xf32> -> tensor<2x6x4xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  return %r : tensor<2x6x4xf32>
}

// -----

#q = affine_map<(b, m, n, k) -> (b, m, k)>
#kt = affine_map<(b, m, n, k) -> (b, k, n)>
#s = affine_map<(b, m, n, k) -> (b, m, n)>
#hidden = affine_map<(b, m, n, k) -> (m, n)>
#p = affine_map<(b, m, c, n) -> (b, m, n)>
#v = affine_map<(b, m, c, n) -> (b, n, c)>
#r = affine_map<(b, m, c, n) -> (b, m, c)>
#all = affine_map<(b, m, n) -> (b, m, n)>
#rows = affine_map<(b, m, n) -> (b, m)>
#row = affine_map<(b, m) -> (b, m)>
#none = affine_map<(b, m, n) -> (m, 0)>
// Not their inverses.
// CHECK-LABEL: @doubled
// CHECK-NOT: dlc.attention
// CHECK: return
func.func @doubled(%q: tensor<2x6x4xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x8x4xf32>, %mask: tensor<6x8xf32>, %dead: tensor<6x1xi1>) -> tensor<2x6x4xf32> {
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ke = tensor.empty() : tensor<2x4x8xf32>
  %kt = linalg.transpose ins(%k : tensor<2x8x4xf32>) outs(%ke : tensor<2x4x8xf32>) permutation = [0, 2, 1]
  %se = tensor.empty() : tensor<2x6x8xf32>
  %re = tensor.empty() : tensor<2x6xf32>
  %s = dlc.contract %q, %kt outs %se [#q, #kt, #s] : tensor<2x6x4xf32>, tensor<2x4x8xf32>, tensor<2x6x8xf32> -> tensor<2x6x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %mi = linalg.fill ins(%low : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %max = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<2x6x8xf32>) outs(%mi : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.maximumf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %exp = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %max : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %0 = arith.subf %x, %y : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> tensor<2x6x8xf32>
  %si = linalg.fill ins(%zero : f32) outs(%re : tensor<2x6xf32>) -> tensor<2x6xf32>
  %sum = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%exp : tensor<2x6x8xf32>) outs(%si : tensor<2x6xf32>) {
  ^bb0(%x: f32, %y: f32):
    %0 = arith.addf %y, %x : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %two = arith.constant 2.0 : f32
  %inv = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%sum : tensor<2x6xf32>) outs(%re : tensor<2x6xf32>) {
  ^bb0(%t: f32, %o: f32):
    %0 = arith.divf %two, %t : f32
    linalg.yield %0 : f32
  } -> tensor<2x6xf32>
  %p = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%exp, %inv : tensor<2x6x8xf32>, tensor<2x6xf32>) outs(%se : tensor<2x6x8xf32>) {
  ^bb0(%e: f32, %t: f32, %o: f32):
    %0 = arith.mulf %e, %t : f32
    linalg.yield %0 : f32
  } -> tensor<2x6x8xf32>
  %ce = tensor.empty() : tensor<2x6x4xf32>
  %r = dlc.contract %p, %v outs %ce [#p, #v, #r] : tensor<2x6x8xf32>, tensor<2x8x4xf32>, tensor<2x6x4xf32> -> tensor<2x6x4xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  return %r : tensor<2x6x4xf32>
}
