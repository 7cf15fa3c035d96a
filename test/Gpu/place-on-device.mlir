// RUN: dlc-opt %s --dlc-place-on-device | FileCheck %s

// What the host reads of inputs and weights it reads where they are; what was
// computed it waits for.
// CHECK-LABEL: func.func @main
// CHECK: %[[HOST:.+]] = dlc.input 0 : memref<4xi64>
// CHECK: %[[DEVICE:.+]] = dlc.input 0 {device} : memref<4xi64>
// CHECK: %[[WEIGHT:.+]] = dlc.weight 64 : memref<i64>
// CHECK-NOT: dlc.weight 64 {device}
// CHECK: %[[ARENA:.+]] = dlc.arena 0 {device} : memref<i64>
// CHECK: %[[PART:.+]] = memref.subview %[[HOST]][1] [2] [1]
// CHECK: memref.load %[[PART]]
// CHECK: memref.load %[[WEIGHT]]
// CHECK: dlc.launch @kernels::@k blocks %{{.*}} threads 256(%[[DEVICE]], %[[ARENA]])
// CHECK: %[[SIZE:.+]] = dlc.read %[[ARENA]][] : memref<i64>
// CHECK: dlc.write %[[SIZE]], %[[ARENA]][] : memref<i64>
// CHECK: dlc.alloc[%{{.*}}] {device} : memref<?xf32>
// CHECK: dlc.free %{{.*}} {device} : memref<?xf32>
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = dlc.input 0 : memref<4xi64>
  %1 = dlc.weight 64 : memref<i64>
  %2 = dlc.arena 0 : memref<i64>
  %3 = memref.subview %0[1] [2] [1] : memref<4xi64> to memref<2xi64, strided<[1], offset: 1>>
  %4 = memref.load %3[%c0] : memref<2xi64, strided<[1], offset: 1>>
  %5 = memref.load %1[] : memref<i64>
  dlc.launch @kernels::@k blocks %c1 threads 256 (%0, %2) : memref<4xi64>, memref<i64>
  %6 = memref.load %2[] : memref<i64>
  memref.store %6, %2[] : memref<i64>
  %7 = arith.addi %4, %5 : i64
  %8 = arith.addi %7, %6 : i64
  %9 = arith.index_cast %8 : i64 to index
  %10 = dlc.alloc[%9] : memref<?xf32>
  dlc.launch @kernels::@l blocks %c1 threads 256 (%10) : memref<?xf32>
  dlc.free %10 : memref<?xf32>
  %s = arith.constant 0 : i32
  return %s : i32
}

// The fallback is left alone.
// CHECK-LABEL: func.func @fallback
// CHECK: dlc.arena 0 : memref<i64>
func.func @fallback(%run: !llvm.ptr) -> i32 {
  %0 = dlc.arena 0 : memref<i64>
  %1 = memref.load %0[] : memref<i64>
  %s = arith.trunci %1 : i64 to i32
  return %s : i32
}
