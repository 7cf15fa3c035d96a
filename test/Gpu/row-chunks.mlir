// Steps on the same rows are done by chunks of 16 bytes.
// RUN: dlc-opt %s --dlc-fuse-rows --dlc-map-kernels --canonicalize --cse --split-input-file | FileCheck %s

// Elements stay in registers: each is loaded once and stored once, what only
// the kernel uses not at all. The row's 512 elements are a warp's, and no
// thread waits for others but in exchanges.
// CHECK:         module attributes {dlc.kernels = ["keep", "rows_0"], dlc.workspace = 4096 : i64
// CHECK-LABEL: func.func @main
// CHECK-DAG:     %[[OTHER:.*]] = dlc.arena 0 : memref<1024xf32>
// CHECK-DAG:     %[[X:.*]] = dlc.input 0
// CHECK-DAG:     %[[Y:.*]] = dlc.output 0
// CHECK-NOT:     dlc.arena
// CHECK:         dlc.launch @kernels::@rows_0 blocks %{{.*}} threads 32(%[[X]], %[[Y]]) {written = array<i64: 1>} : memref<64x512xf32>, memref<64x512xf32>
// CHECK-LABEL: gpu.func @rows_0
// CHECK-SAME:    (%{{[a-z0-9]*}}: memref<64x512xf32> {llvm.align = 16 : i64}, %{{[a-z0-9]*}}: memref<64x512xf32> {llvm.align = 16 : i64})
// CHECK-NOT:     workgroup
// CHECK-NOT:     memref.load
// CHECK-COUNT-4: vector.load %{{.*}} {alignment = 16 : i64} : {{.*}}, vector<4xf32>
// CHECK-NOT:     vector.load
// CHECK-NOT:     memref.load
// CHECK-NOT:     vector.store
// CHECK-COUNT-5: call @dlc_warp_xor
// CHECK-NOT:     call
// CHECK-COUNT-4: vector.store %{{.*}} {alignment = 16 : i64} : {{.*}}, vector<4xf32>
// CHECK-NOT:     vector.store
// CHECK-NOT:     memref.store
// CHECK-NOT:     gpu.barrier
// CHECK:         gpu.return
#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
module attributes {dlc.workspace = 135424 : i64} {
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %x = dlc.input 0 : memref<64x512xf32>
  %z = dlc.arena 0 : memref<1024xf32>
  call @keep(%z) : (memref<1024xf32>) -> ()
  %s = dlc.arena 4096 : memref<64xf32>
  %e = dlc.arena 4352 : memref<64x512xf32>
  %y = dlc.output 0 : memref<64x512xf32>
  call @fill(%s) : (memref<64xf32>) -> ()
  call @double(%x, %e) : (memref<64x512xf32>, memref<64x512xf32>) -> ()
  call @sum(%e, %s) : (memref<64x512xf32>, memref<64xf32>) -> ()
  call @divide(%e, %s, %y) : (memref<64x512xf32>, memref<64xf32>, memref<64x512xf32>) -> ()
  return %c0 : i32
}
func.func private @fill(%s: memref<64xf32>) {
  %0 = arith.constant 0.0 : f32
  linalg.fill ins(%0 : f32) outs(%s : memref<64xf32>)
  return
}
func.func private @double(%x: memref<64x512xf32>, %y: memref<64x512xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : memref<64x512xf32>) outs(%y : memref<64x512xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %a : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @sum(%x: memref<64x512xf32>, %s: memref<64xf32>) {
  linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x512xf32>) outs(%s : memref<64xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @divide(%x: memref<64x512xf32>, %s: memref<64xf32>, %y: memref<64x512xf32>) {
  linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]} ins(%x, %s : memref<64x512xf32>, memref<64xf32>) outs(%y : memref<64x512xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %0 = arith.divf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @keep(%s: memref<1024xf32>) {
  %0 = arith.constant 0.0 : f32
  linalg.fill ins(%0 : f32) outs(%s : memref<1024xf32>)
  return
}
}

// -----

// 4096 elements are eight warps': these exchange their sums through memory, with
// one barrier.
// CHECK-LABEL: gpu.func @largest
// CHECK-SAME:    workgroup(%[[SHARED:.*]] : memref<8xf32, #gpu.address_space<workgroup>>
// CHECK-COUNT-4: vector.load {{.*}} vector<4xf32>
// CHECK-COUNT-5: call @dlc_warp_xor
// CHECK:         memref.store %{{.*}}, %[[SHARED]]
// CHECK:         gpu.barrier
// CHECK:         memref.load %[[SHARED]]
// CHECK-COUNT-3: call @dlc_warp_xor
// CHECK-NOT:     dlc_warp_xor
// CHECK-NOT:     gpu.barrier
// CHECK:         gpu.return
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %x = dlc.input 0 : memref<64x4096xf32>
  %s = dlc.output 0 : memref<64xf32>
  call @largest(%x, %s) : (memref<64x4096xf32>, memref<64xf32>) -> ()
  return %c0 : i32
}
func.func private @largest(%x: memref<64x4096xf32>, %s: memref<64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x4096xf32>) outs(%s : memref<64xf32>) {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.maximumf %a, %b : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// Longer rows are a loop's, with four chunks at once.
// CHECK-LABEL: gpu.func @longest
// CHECK:         scf.for {{.*}} iter_args
// CHECK-COUNT-4: vector.load {{.*}} vector<8xf16>
// CHECK:         scf.for {{.*}} iter_args
// CHECK:         vector.load {{.*}} vector<8xf16>
// CHECK-NOT:     vector.load
// CHECK:         gpu.barrier
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %x = dlc.input 0 : memref<64x100000xf16>
  %s = dlc.output 0 : memref<64xf16>
  call @longest(%x, %s) : (memref<64x100000xf16>, memref<64xf16>) -> ()
  return %c0 : i32
}
func.func private @longest(%x: memref<64x100000xf16>, %s: memref<64xf16>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x100000xf16>) outs(%s : memref<64xf16>) {
  ^bb0(%a: f16, %b: f16):
    %0 = arith.maximumf %a, %b : f16
    linalg.yield %0 : f16
  }
  return
}
