// RUN: dlc-opt %s --dlc-fuse-rows --split-input-file | FileCheck %s

// A sum of each row and a division by it become one kernel.
// CHECK-LABEL: func.func @main
// CHECK:         call @rows_0(%{{.*}}, %{{.*}}, %{{.*}}) : (memref<64x32xf32>, memref<64xf32>, memref<64x32xf32>)
// CHECK-NOT:     call
// CHECK:       func.func private @rows_0({{.*}}) attributes {dlc.rows = 64 : i64}
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
