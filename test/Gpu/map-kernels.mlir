// Functions that @main calls become kernels, calls become launches.
// RUN: dlc-opt %s --dlc-map-kernels --split-input-file | FileCheck %s

// Four elements a thread where the last dimension allows it.
// CHECK-LABEL: func.func @main
// CHECK: %[[BLOCKS:.+]] = arith.constant 2 : index
// CHECK: dlc.launch @kernels::@relu blocks %[[BLOCKS]] threads 256(%{{.*}}, %{{.*}}) {written = array<i64: 1>} : memref<32x64xf32>, memref<32x64xf32>
// CHECK-NOT: func.func private @relu
// CHECK: gpu.module @kernels
// CHECK: gpu.func @relu(%{{.*}}: memref<32x64xf32> {llvm.align = 16 : i64, llvm.noalias}, %{{.*}}: memref<32x64xf32> {llvm.align = 16 : i64}) kernel
// CHECK-COUNT-4: memref.load
// CHECK-COUNT-4: arith.maximumf
// CHECK-COUNT-4: memref.store
// CHECK-NOT: linalg
func.func @main(%run: !llvm.ptr) -> i32 {
  %0 = dlc.input 0 : memref<32x64xf32>
  %1 = dlc.output 0 : memref<32x64xf32>
  call @relu(%0, %1) : (memref<32x64xf32>, memref<32x64xf32>) -> ()
  %c0 = arith.constant 0 : i32
  return %c0 : i32
}
func.func private @relu(%a: memref<32x64xf32> {llvm.noalias}, %b: memref<32x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.map ins(%a : memref<32x64xf32>) outs(%b : memref<32x64xf32>) (%x: f32, %o: f32) {
    %0 = arith.maximumf %x, %zero : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// One element where it does not: 63 is no multiple of 4. The sizes and strides
// that are not known are parameters, and tell the number of blocks.
// CHECK-LABEL: func.func @main
// CHECK: %[[ROWS:.+]] = memref.dim
// CHECK: %[[ITEMS:.+]] = arith.muli %{{.*}}, %{{.*}} : index
// CHECK: %[[BLOCKS:.+]] = arith.ceildivui %[[ITEMS]], %{{.*}} : index
// CHECK: dlc.launch @kernels::@negate blocks %[[BLOCKS]] threads 256(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {written = array<i64: 2>} : memref<?x63xf32>, index, memref<?x63xf32>, index
// CHECK: gpu.func @negate(%{{.*}}: memref<f32> {{.*}}, %[[SIZE:.*]]: index, %{{.*}}: memref<f32> {{.*}}, %{{.*}}: index)
// CHECK: memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [%[[SIZE]], 63], strides: [63, 1]
// CHECK: scf.if
// CHECK-COUNT-1: arith.negf
// CHECK-NOT: arith.negf
func.func @main(%run: !llvm.ptr) -> i32 {
  %0 = dlc.input 0 : memref<?x63xf32>
  %c0 = arith.constant 0 : index
  %n = memref.dim %0, %c0 : memref<?x63xf32>
  %1 = dlc.alloc[%n] : memref<?x63xf32>
  call @negate(%0, %1) : (memref<?x63xf32>, memref<?x63xf32>) -> ()
  %s = arith.constant 0 : i32
  return %s : i32
}
func.func private @negate(%a: memref<?x63xf32>, %b: memref<?x63xf32>) {
  linalg.map ins(%a : memref<?x63xf32>) outs(%b : memref<?x63xf32>) (%x: f32, %o: f32) {
    %0 = arith.negf %x : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// A sum along memory is a warp's, or several's, by chunks of 16 bytes.
// CHECK-LABEL: gpu.func @rows
// CHECK-NOT: workgroup
// CHECK: gpu.block_id
// CHECK-COUNT-8: vector.load {{.*}} vector<4xf32>
// CHECK-COUNT-5: call @dlc_warp_xor
// CHECK-NOT: dlc_warp_xor
// CHECK-NOT: gpu.barrier
// A sum across memory is a thread's.
// CHECK-LABEL: gpu.func @columns
// CHECK-NOT: workgroup
// CHECK: scf.for {{.*}} iter_args
// CHECK-NOT: gpu.barrier
#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
#column = affine_map<(d0, d1) -> (d1)>
func.func @main(%run: !llvm.ptr) -> i32 {
  %0 = dlc.input 0 : memref<8x1000xf32>
  %1 = dlc.output 0 : memref<8xf32>
  %2 = dlc.output 1 : memref<1000xf32>
  call @rows(%0, %1) : (memref<8x1000xf32>, memref<8xf32>) -> ()
  call @columns(%0, %2) : (memref<8x1000xf32>, memref<1000xf32>) -> ()
  %s = arith.constant 0 : i32
  return %s : i32
}
func.func private @rows(%a: memref<8x1000xf32>, %b: memref<8xf32>) {
  linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%a : memref<8x1000xf32>) outs(%b : memref<8xf32>) {
  ^bb0(%x: f32, %s: f32):
    %0 = arith.addf %s, %x : f32
    linalg.yield %0 : f32
  }
  return
}
func.func private @columns(%a: memref<8x1000xf32>, %b: memref<1000xf32>) {
  linalg.generic {indexing_maps = [#id, #column], iterator_types = ["reduction", "parallel"]}
      ins(%a : memref<8x1000xf32>) outs(%b : memref<1000xf32>) {
  ^bb0(%x: f32, %s: f32):
    %0 = arith.addf %s, %x : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// A product of 2048 x 2048 has blocks for large tiles. One row of results
// gives nothing to use twice.
// CHECK: dlc.launch @kernels::@large blocks %{{.*}} threads 256
// CHECK-LABEL: gpu.func @large
// CHECK-SAME: workgroup(%{{.*}} : memref<8x132xf32, #gpu.address_space<workgroup>> {{.*}}, %{{.*}} : memref<8x132xf32, #gpu.address_space<workgroup>>
// CHECK: vector.load %{{.*}} {alignment = 16 : i64}
// CHECK-COUNT-512: math.fma
// CHECK-LABEL: gpu.func @vector
// CHECK-NOT: workgroup
// CHECK-COUNT-1: math.fma
// CHECK-NOT: math.fma
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
func.func @main(%run: !llvm.ptr) -> i32 {
  %0 = dlc.input 0 : memref<2048x2048xf32>
  %1 = dlc.input 1 : memref<1x2048xf32>
  %2 = dlc.output 0 : memref<2048x2048xf32>
  %3 = dlc.output 1 : memref<1x2048xf32>
  call @large(%0, %0, %2) : (memref<2048x2048xf32>, memref<2048x2048xf32>, memref<2048x2048xf32>) -> ()
  call @vector(%1, %0, %3) : (memref<1x2048xf32>, memref<2048x2048xf32>, memref<1x2048xf32>) -> ()
  %s = arith.constant 0 : i32
  return %s : i32
}
func.func private @large(%x: memref<2048x2048xf32>, %y: memref<2048x2048xf32>, %z: memref<2048x2048xf32>) {
  dlc.contract %x, %y outs %z [#a, #b, #c] : memref<2048x2048xf32>, memref<2048x2048xf32>, memref<2048x2048xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}
func.func private @vector(%x: memref<1x2048xf32>, %y: memref<2048x2048xf32>, %z: memref<1x2048xf32>) {
  dlc.contract %x, %y outs %z [#a, #b, #c] : memref<1x2048xf32>, memref<2048x2048xf32>, memref<1x2048xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return
}

// -----

// Pictures with the channels last: the height and the width are one dimension of
// the tile.
// CHECK: dlc.launch @kernels::@last blocks %{{.*}} threads 256
// CHECK-LABEL: gpu.func @last
// CHECK-SAME: workgroup(%[[TILE:.*]] : memref<32x33xf32, #gpu.address_space<workgroup>>
// CHECK-COUNT-4: memref.store %{{.*}}, %[[TILE]]
// CHECK: gpu.barrier
// CHECK-COUNT-4: memref.load %[[TILE]]
// CHECK-NOT: memref.load %[[TILE]]
// What moves short rows only is as fast a row at a time.
// CHECK-LABEL: gpu.func @pairs
// CHECK-NOT: workgroup
func.func @main(%run: !llvm.ptr) -> i32 {
  %0 = dlc.input 0 : memref<2x40x9x11xf32>
  %1 = dlc.input 1 : memref<640x2xf32>
  %2 = dlc.output 0 : memref<2x9x11x40xf32>
  %3 = dlc.output 1 : memref<2x640xf32>
  call @last(%0, %2) : (memref<2x40x9x11xf32>, memref<2x9x11x40xf32>) -> ()
  call @pairs(%1, %3) : (memref<640x2xf32>, memref<2x640xf32>) -> ()
  %s = arith.constant 0 : i32
  return %s : i32
}
func.func private @last(%x: memref<2x40x9x11xf32>, %y: memref<2x9x11x40xf32>) {
  linalg.transpose ins(%x : memref<2x40x9x11xf32>) outs(%y : memref<2x9x11x40xf32>) permutation = [0, 2, 3, 1]
  return
}
func.func private @pairs(%x: memref<640x2xf32>, %y: memref<2x640xf32>) {
  linalg.transpose ins(%x : memref<640x2xf32>) outs(%y : memref<2x640xf32>) permutation = [1, 0]
  return
}
