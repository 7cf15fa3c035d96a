// RUN: dlc-opt %s --dlc-fuse-rows --split-input-file | FileCheck %s

// A sum of each row and a division by it become one kernel.
// CHECK-LABEL: func.func @main
// CHECK:         call @rows_0(%{{.*}}, %{{.*}}, %{{.*}}) : (memref<64x32xf32>, memref<64xf32>, memref<64x32xf32>)
// CHECK-NOT:     call
// CHECK:       func.func private @rows_0({{.*}}) attributes {dlc.row_buffers = array<i64: 0, 1, 2>, dlc.row_dims = array<i64: 1, 1>, dlc.row_places = array<i64: 0, 1, 2>, dlc.row_private = array<i1: false, true, false>}
// CHECK:         linalg.generic
// CHECK:         linalg.generic
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %x = dlc.input 0 : memref<64x32xf32>
  %s = dlc.arena 0 : memref<64xf32>
  %y = dlc.output 0 : memref<64x32xf32>
  call @sum(%x, %s) : (memref<64x32xf32>, memref<64xf32>) -> ()
  call @divide(%x, %s, %y) : (memref<64x32xf32>, memref<64xf32>, memref<64x32xf32>) -> ()
  return %c0 : i32
}
func.func private @sum(%x: memref<64x32xf32>, %s: memref<64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x32xf32>) outs(%s : memref<64xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @divide(%x: memref<64x32xf32>, %s: memref<64xf32>, %y: memref<64x32xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %s : memref<64x32xf32>, memref<64xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.divf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// The second kernel reads what other rows have written.
// CHECK-LABEL: func.func @main
// CHECK:         call @sum
// CHECK:         call @columns
// CHECK-NOT:     rows_0
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %x = dlc.input 0 : memref<64x64xf32>
  %s = dlc.arena 0 : memref<64xf32>
  %y = dlc.output 0 : memref<64x64xf32>
  call @sum(%x, %s) : (memref<64x64xf32>, memref<64xf32>) -> ()
  call @columns(%x, %s, %y) : (memref<64x64xf32>, memref<64xf32>, memref<64x64xf32>) -> ()
  return %c0 : i32
}
func.func private @sum(%x: memref<64x64xf32>, %s: memref<64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x64xf32>) outs(%s : memref<64xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @columns(%x: memref<64x64xf32>, %s: memref<64xf32>, %y: memref<64x64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %s : memref<64x64xf32>, memref<64xf32>) outs(%y : memref<64x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.divf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// Memory is used a second time, by rows that lie elsewhere: the block of one row
// would overwrite what another one is still to read.
// CHECK-LABEL: func.func @main
// CHECK:         call @sum
// CHECK:         call @divide
// CHECK-NOT:     rows_0
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %x = dlc.arena 64 : memref<64x32xf32>
  %s = dlc.arena 16384 : memref<64xf32>
  %y = dlc.arena 0 : memref<64x32xf32>
  call @sum(%x, %s) : (memref<64x32xf32>, memref<64xf32>) -> ()
  call @divide(%x, %s, %y) : (memref<64x32xf32>, memref<64xf32>, memref<64x32xf32>) -> ()
  return %c0 : i32
}
func.func private @sum(%x: memref<64x32xf32>, %s: memref<64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x32xf32>) outs(%s : memref<64xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @divide(%x: memref<64x32xf32>, %s: memref<64xf32>, %y: memref<64x32xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %s : memref<64x32xf32>, memref<64xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.divf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// Sizes that are not known are those of the same values; what is freed in
// between is freed behind.
// CHECK-LABEL: func.func @main
// CHECK:         dlc.alloc
// CHECK:         %[[Y:.*]] = dlc.output
// CHECK-NEXT:    call @rows_0(%{{.*}}, %{{.*}}, %[[Y]]) : (memref<?x?xf32>, memref<?xf32>, memref<?x?xf32>)
// CHECK-NEXT:    dlc.free
// CHECK-NOT:     call
// CHECK:       func.func private @rows_0({{.*}}) attributes {dlc.row_buffers = array<i64: 0, 1, 2>, dlc.row_dims = array<i64: 1, 1>, dlc.row_places = array<i64: 0, 1, 2>, dlc.row_private = array<i1: false, true, false>}
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %i0 = arith.constant 0 : index
  %i1 = arith.constant 1 : index
  %x = dlc.input 0 : memref<?x?xf32>
  %n = memref.dim %x, %i0 : memref<?x?xf32>
  %m = memref.dim %x, %i1 : memref<?x?xf32>
  %s = dlc.alloc[%n] : memref<?xf32>
  %t = dlc.alloc[%n] : memref<?xf32>
  call @sum(%x, %s) : (memref<?x?xf32>, memref<?xf32>) -> ()
  dlc.free %t : memref<?xf32>
  %y = dlc.output 0[%n, %m] : memref<?x?xf32>
  call @divide(%x, %s, %y) : (memref<?x?xf32>, memref<?xf32>, memref<?x?xf32>) -> ()
  return %c0 : i32
}
func.func private @sum(%x: memref<?x?xf32>, %s: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<?x?xf32>) outs(%s : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @divide(%x: memref<?x?xf32>, %s: memref<?xf32>, %y: memref<?x?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %s : memref<?x?xf32>, memref<?xf32>) outs(%y : memref<?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.divf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// Other rows may be as many, or not.
// CHECK-LABEL: func.func @main
// CHECK:         call @sum
// CHECK:         call @divide
// CHECK-NOT:   rows_0
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %i0 = arith.constant 0 : index
  %i1 = arith.constant 1 : index
  %x = dlc.input 0 : memref<?x?xf32>
  %n = memref.dim %x, %i0 : memref<?x?xf32>
  %m = memref.dim %x, %i1 : memref<?x?xf32>
  %s = dlc.alloc[%n] : memref<?xf32>
  %y = dlc.output 0[%m, %n] : memref<?x?xf32>
  %z = dlc.input 1 : memref<?x?xf32>
  call @sum(%x, %s) : (memref<?x?xf32>, memref<?xf32>) -> ()
  call @divide(%z, %s, %y) : (memref<?x?xf32>, memref<?xf32>, memref<?x?xf32>) -> ()
  return %c0 : i32
}
func.func private @sum(%x: memref<?x?xf32>, %s: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<?x?xf32>) outs(%s : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @divide(%x: memref<?x?xf32>, %s: memref<?xf32>, %y: memref<?x?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %s : memref<?x?xf32>, memref<?xf32>) outs(%y : memref<?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.divf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// What makes the elements that the others read comes along, and says nothing of
// rows itself. %t is a view of %e. Another kernel reads %e: it is not the group's own.
// CHECK-LABEL: func.func @main
// CHECK-NOT:     call @square
// CHECK:         call @rows_0(%[[X:.*]], %[[E:.*]], %[[S:.*]], %[[T:.*]], %[[Y:.*]])
// CHECK-NEXT:    call @later
// CHECK-NEXT:    call @square(%[[E]], %{{.*}})
// CHECK:       func.func private @rows_0({{.*}}) attributes {dlc.row_buffers = array<i64: 0, 1, 2, 1, 4>, dlc.row_dims = array<i64: 1, 1, 1, 1>, dlc.row_places = array<i64: 0, 1, 2, 1, 4>, dlc.row_private = array<i1: false, false, true, false, false>}
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %x = dlc.input 0 : memref<64x32xf32>
  %e = dlc.arena 0 : memref<64x32xf32>
  %s = dlc.arena 8192 : memref<64xf32>
  %y = dlc.output 0 : memref<64x32xf32>
  %z = dlc.output 1 : memref<64x32xf32>
  call @square(%x, %e) : (memref<64x32xf32>, memref<64x32xf32>) -> ()
  call @fill(%s) : (memref<64xf32>) -> ()
  %t = memref.expand_shape %e [[0], [1, 2]] output_shape [64, 1, 32] : memref<64x32xf32> into memref<64x1x32xf32>
  call @sum(%t, %s) : (memref<64x1x32xf32>, memref<64xf32>) -> ()
  call @divide(%e, %s, %y) : (memref<64x32xf32>, memref<64xf32>, memref<64x32xf32>) -> ()
  func.call @later() : () -> ()
  call @square(%e, %z) : (memref<64x32xf32>, memref<64x32xf32>) -> ()
  return %c0 : i32
}
func.func private @later() {
  return
}
func.func private @square(%x: memref<64x32xf32>, %y: memref<64x32xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x : memref<64x32xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.mulf %a, %a : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @fill(%s: memref<64xf32>) {
  %0 = arith.constant 0.0 : f32
  linalg.fill ins(%0 : f32) outs(%s : memref<64xf32>)
  return
}
func.func private @sum(%x: memref<64x1x32xf32>, %s: memref<64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, k, j) -> (i, k, j)>, affine_map<(i, k, j) -> (i)>], iterator_types = ["parallel", "reduction", "reduction"]} ins(%x : memref<64x1x32xf32>) outs(%s : memref<64xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @divide(%x: memref<64x32xf32>, %s: memref<64xf32>, %y: memref<64x32xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %s : memref<64x32xf32>, memref<64xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.divf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// The sums lie where the quotients do, which begin when they are read: they get
// a place of their own.
// CHECK-LABEL: module attributes {dlc.workspace = 8448 : i64}
// CHECK-DAG:     dlc.arena 0 : memref<64x32xf32>
// CHECK-DAG:     dlc.arena 8192 : memref<64xf32>
// CHECK:         call @rows_0
// CHECK-NOT:     call
module attributes {dlc.workspace = 8192 : i64} {
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %x = dlc.input 0 : memref<64x32xf32>
  %s = dlc.arena 0 : memref<64xf32>
  %y = dlc.arena 0 : memref<64x32xf32>
  call @sum(%x, %s) : (memref<64x32xf32>, memref<64xf32>) -> ()
  call @divide(%x, %s, %y) : (memref<64x32xf32>, memref<64xf32>, memref<64x32xf32>) -> ()
  return %c0 : i32
}
func.func private @sum(%x: memref<64x32xf32>, %s: memref<64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x32xf32>) outs(%s : memref<64xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @divide(%x: memref<64x32xf32>, %s: memref<64xf32>, %y: memref<64x32xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %s : memref<64x32xf32>, memref<64xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.divf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}
}
