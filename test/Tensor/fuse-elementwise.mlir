// RUN: dlc-opt %s -dlc-fuse-elementwise | FileCheck %s
// RUN: dlc-opt %s -dlc-fuse-elementwise=limit=3 | FileCheck %s --check-prefix=LIMIT
// RUN: dlc-opt %s -dlc-fuse-elementwise --remark-format=emitRemark --remarks-filter=".*" -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK-DAG: "repeated for 2 users: computing it there takes 2359296 cycles, storing it for that 4325876"
// REMARK-DAG: "fused into '': computing it there takes 72 cycles, storing it for that 532"
// REMARK-DAG: "not fused into '': computing it there takes 426048 cycles, storing it for that 1524"
// REMARK-DAG: "not fused into '': computing it there takes 14336 cycles, storing it for that 9204"

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

#rows = affine_map<(i, j) -> (j)>
#columns = affine_map<(i, j) -> (i)>
#all = affine_map<(i, j) -> (i, j)>

// 512 exponentials are not done again for each of 512 rows: that would take
// longer than to store and load them.
// CHECK-LABEL: @row
// CHECK: linalg.generic
// CHECK: math.exp
// CHECK: linalg.generic
// CHECK-NEXT: ^bb0
// CHECK-NEXT: arith.mulf
func.func @row(%x: tensor<512x512xf32>, %s: tensor<512xf32>, %e: tensor<512xf32>, %f: tensor<512x512xf32>) -> tensor<512x512xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%s : tensor<512xf32>) outs(%e : tensor<512xf32>) {
  ^bb0(%a: f32, %b: f32):
    %1 = math.exp %a : f32
    linalg.yield %1 : f32
  } -> tensor<512xf32>
  %2 = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel"]}
      ins(%x, %0 : tensor<512x512xf32>, tensor<512xf32>) outs(%f : tensor<512x512xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %3 = arith.mulf %a, %b : f32
    linalg.yield %3 : f32
  } -> tensor<512x512xf32>
  return %2 : tensor<512x512xf32>
}

// One for each row stands in front of the inner loop: a product is fused.
// CHECK-LABEL: @column
// CHECK: linalg.generic
// CHECK: arith.addf
// CHECK-NEXT: arith.mulf
// CHECK-NOT: linalg.generic
// CHECK: return
func.func @column(%x: tensor<64x512xf32>, %s: tensor<64xf32>, %e: tensor<64xf32>, %f: tensor<64x512xf32>) -> tensor<64x512xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%s, %s : tensor<64xf32>, tensor<64xf32>) outs(%e : tensor<64xf32>) {
  ^bb0(%a: f32, %d: f32, %b: f32):
    %1 = arith.addf %a, %d : f32
    linalg.yield %1 : f32
  } -> tensor<64xf32>
  %2 = linalg.generic {indexing_maps = [#all, #columns, #all], iterator_types = ["parallel", "parallel"]}
      ins(%x, %0 : tensor<64x512xf32>, tensor<64xf32>) outs(%f : tensor<64x512xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %3 = arith.mulf %a, %b : f32
    linalg.yield %3 : f32
  } -> tensor<64x512xf32>
  return %2 : tensor<64x512xf32>
}

// What is larger than the cache and cheap is done for each of two users; an
// exponential is not.
// CHECK-LABEL: @users
// CHECK-COUNT-2: linalg.generic
// CHECK-NOT: linalg.generic
// CHECK-LABEL: @dear_users
// CHECK-COUNT-3: linalg.generic
func.func @users(%x: tensor<1048576xf32>, %e: tensor<1048576xf32>) -> (tensor<1048576xf32>, tensor<1048576xf32>) {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<1048576xf32>) outs(%e : tensor<1048576xf32>) {
  ^bb0(%a: f32, %b: f32):
    %1 = arith.negf %a : f32
    linalg.yield %1 : f32
  } -> tensor<1048576xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%0 : tensor<1048576xf32>) outs(%e : tensor<1048576xf32>) {
  ^bb0(%a: f32, %b: f32):
    %3 = math.exp %a : f32
    linalg.yield %3 : f32
  } -> tensor<1048576xf32>
  %4 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%0 : tensor<1048576xf32>) outs(%e : tensor<1048576xf32>) {
  ^bb0(%a: f32, %b: f32):
    %5 = math.sqrt %a : f32
    linalg.yield %5 : f32
  } -> tensor<1048576xf32>
  return %2, %4 : tensor<1048576xf32>, tensor<1048576xf32>
}

func.func @dear_users(%x: tensor<4096xf32>, %e: tensor<4096xf32>) -> (tensor<4096xf32>, tensor<4096xf32>) {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<4096xf32>) outs(%e : tensor<4096xf32>) {
  ^bb0(%a: f32, %b: f32):
    %1 = math.exp %a : f32
    linalg.yield %1 : f32
  } -> tensor<4096xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%0 : tensor<4096xf32>) outs(%e : tensor<4096xf32>) {
  ^bb0(%a: f32, %b: f32):
    %3 = arith.negf %a : f32
    linalg.yield %3 : f32
  } -> tensor<4096xf32>
  %4 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%0 : tensor<4096xf32>) outs(%e : tensor<4096xf32>) {
  ^bb0(%a: f32, %b: f32):
    %5 = math.sqrt %a : f32
    linalg.yield %5 : f32
  } -> tensor<4096xf32>
  return %2, %4 : tensor<4096xf32>, tensor<4096xf32>
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

// What follows a contraction is left for its epilogue too where a pool reads
// it: once, not for each window. Of another tensor the pool does it.

#window = affine_map<(y, i, c) -> (y * 2 + i, c)>
#shape = affine_map<(y, i, c) -> (i)>
#pooled = affine_map<(y, i, c) -> (y, c)>

// CHECK-LABEL: @pools
// CHECK: dlc.contract
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel"]}
// CHECK: arith.negf
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "reduction", "parallel"]}
// CHECK-NEXT: ^bb0
// CHECK-NEXT: arith.maximumf
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "reduction", "parallel"]}
// CHECK-NEXT: ^bb0
// CHECK-NEXT: arith.negf
// CHECK-NEXT: arith.maximumf
func.func @pools(%a: tensor<8x8xf32>, %b: tensor<8x16xf32>, %x: tensor<8x16xf32>, %e: tensor<8x16xf32>, %low: tensor<4x16xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>) {
  %c = dlc.contract %a, %b outs %e [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>] : tensor<8x8xf32>, tensor<8x16xf32>, tensor<8x16xf32> -> tensor<8x16xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  %0 = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%c : tensor<8x16xf32>) outs(%e : tensor<8x16xf32>) {
  ^bb0(%p: f32, %q: f32):
    %5 = arith.negf %p : f32
    linalg.yield %5 : f32
  } -> tensor<8x16xf32>
  %w = tensor.empty() : tensor<2xf32>
  %1 = linalg.generic {indexing_maps = [#window, #shape, #pooled], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%0, %w : tensor<8x16xf32>, tensor<2xf32>) outs(%low : tensor<4x16xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32):
    %5 = arith.maximumf %r, %p : f32
    linalg.yield %5 : f32
  } -> tensor<4x16xf32>
  %2 = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<8x16xf32>) outs(%e : tensor<8x16xf32>) {
  ^bb0(%p: f32, %q: f32):
    %5 = arith.negf %p : f32
    linalg.yield %5 : f32
  } -> tensor<8x16xf32>
  %3 = linalg.generic {indexing_maps = [#window, #shape, #pooled], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%2, %w : tensor<8x16xf32>, tensor<2xf32>) outs(%low : tensor<4x16xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32):
    %5 = arith.maximumf %r, %p : f32
    linalg.yield %5 : f32
  } -> tensor<4x16xf32>
  return %1, %3 : tensor<4x16xf32>, tensor<4x16xf32>
}
