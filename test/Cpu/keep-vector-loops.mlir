// RUN: dlc-opt %s --dlc-keep-vector-loops | FileCheck %s
// RUN: dlc-opt %s --convert-scf-to-cf --dlc-convert-to-llvm | FileCheck %s --check-prefix=NONE
// RUN: dlc-opt %s --dlc-keep-vector-loops --convert-scf-to-cf --dlc-convert-to-llvm --reconcile-unrealized-casts | FileCheck %s --check-prefix=LLVM

// A property of the branch, not an attribute that LLVM IR would not have.
// NONE-NOT: loop_annotation
// LLVM: #[[UNROLL:.*]] = #llvm.loop_unroll<disable = true>
// LLVM: #[[KEEP:.*]] = #llvm.loop_annotation<unroll = #[[UNROLL]]>
// LLVM: llvm.br {{.*}} {loop_annotation = #[[KEEP]]}

// CHECK: #[[UNROLL:.*]] = #llvm.loop_unroll<disable = true>
// CHECK: #[[KEEP:.*]] = #llvm.loop_annotation<unroll = #[[UNROLL]]>
// CHECK-LABEL: func @channels
// CHECK: scf.for
// CHECK: scf.for
// CHECK: memref.store
// CHECK-NEXT: } {llvm.loop_annotation = #[[KEEP]]}
// CHECK-NEXT: }
// CHECK-NEXT: return
func.func @channels(%y: memref<9x64xf32>, %x: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %c64 = arith.constant 64 : index
  scf.for %i = %c0 to %c9 step %c1 {
    scf.for %j = %c0 to %c64 step %c1 {
      memref.store %x, %y[%i, %j] : memref<9x64xf32>
    }
  }
  return
}

// Columns apart, few trips, and trips that only the run knows.
// CHECK-LABEL: func @others
// CHECK-NOT: loop_annotation
func.func @others(%y: memref<64x4xf32>, %z: memref<?xf32>, %n: index, %x: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  scf.for %i = %c0 to %c4 step %c1 {
    scf.for %j = %c0 to %c64 step %c1 {
      memref.store %x, %y[%j, %i] : memref<64x4xf32>
    }
  }
  scf.for %j = %c0 to %c64 step %c1 {
    scf.for %i = %c0 to %c4 step %c1 {
      memref.store %x, %y[%j, %i] : memref<64x4xf32>
    }
  }
  scf.for %i = %c0 to %n step %c1 {
    memref.store %x, %z[%i] : memref<?xf32>
  }
  return
}

// Which zero is the larger one is left open.
// LLVM-LABEL: @maximum
// LLVM: llvm.intr.maximum(%arg0, %arg1) {fastmathFlags = #llvm.fastmath<nsz>}
func.func @maximum(%x: f32, %y: f32) -> f32 {
  %0 = arith.maximumf %x, %y : f32
  return %0 : f32
}
