// RUN: dlc-opt %s --dlc-fork-kernels --split-input-file | FileCheck %s

// A kernel of which every caller has the run: threads compute parts of it. The
// number of units is computed where it is called.

// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[CTX:.*]]: !llvm.ptr, %[[A:.*]]: memref<?xf32>, %[[B:.*]]: memref<?xf32>)
func.func @main(%run: !llvm.ptr, %a: memref<?xf32>, %b: memref<?xf32>) -> i32 {
  // CHECK: %[[SIZE:.*]] = memref.dim %[[A]]
  // CHECK: %[[COUNT:.*]] = arith.divui %[[SIZE]]
  // CHECK: dlc.fork @kernel_0(%[[A]], %[[B]]) units %[[COUNT]] grain 3 : memref<?xf32>, memref<?xf32>
  // CHECK-NOT: call
  func.call @kernel_0(%a, %b) : (memref<?xf32>, memref<?xf32>) -> ()
  %zero = arith.constant 0 : i32
  return %zero : i32
}

// CHECK: func.func private @kernel_0(
// CHECK-SAME: memref<?xf32> {llvm.noalias}, %{{.*}}: memref<?xf32>, %[[FIRST:.*]]: index, %[[END:.*]]: index, %[[OWN:.*]]: !llvm.ptr, %[[SINCE:.*]]: index)
// CHECK-NOT: dlc.parallel
// CHECK: scf.for %{{.*}} = %[[FIRST]] to %[[END]]
// CHECK: return
func.func private @kernel_0(%a: memref<?xf32> {llvm.noalias}, %b: memref<?xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %eight = arith.constant 8 : index
  %size = memref.dim %a, %zero : memref<?xf32>
  %count = arith.divui %size, %eight : index
  dlc.parallel %count grain 3 {
  ^bb0(%first: index, %end: index, %own: !llvm.ptr, %since: index):
    scf.for %i = %first to %end step %one {
      %x = memref.load %a[%i] : memref<?xf32>
      memref.store %x, %b[%i] : memref<?xf32>
    }
    dlc.yield
  }
  return
}

// -----

// In no kernel of its own: one thread does all, with the planned memory.

// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[CTX:.*]]: !llvm.ptr, %[[A:.*]]: memref<64xf32>)
func.func @main(%run: !llvm.ptr, %a: memref<64xf32>) -> i32 {
  // CHECK: %[[ZERO:.*]] = arith.constant 0 : index
  // CHECK-NOT: dlc.
  // CHECK: scf.for %{{.*}} = %[[ZERO]] to %c64
  // CHECK: memref.store %{{.*}}, %[[A]]
  %one = arith.constant 1 : index
  %count = arith.constant 64 : index
  %zero = arith.constant 0.0 : f32
  dlc.parallel %count grain 1 {
  ^bb0(%first: index, %end: index, %own: !llvm.ptr, %since: index):
    %mine = dlc.scratch %a or %own : memref<64xf32>, !llvm.ptr
    scf.for %i = %first to %end step %one {
      memref.store %zero, %mine[%i] : memref<64xf32>
    }
    dlc.yield
  }
  %status = arith.constant 0 : i32
  return %status : i32
}

// -----

// Called by a function without a run: one thread does all.

// CHECK-LABEL: func.func @other
// CHECK: call @kernel_0
func.func @other(%a: memref<64xf32>) {
  func.call @kernel_0(%a) : (memref<64xf32>) -> ()
  return
}
// CHECK: func.func private @kernel_0(%{{.*}}: memref<64xf32>) {
// CHECK-NOT: dlc.parallel
func.func private @kernel_0(%a: memref<64xf32>) {
  %count = arith.constant 64 : index
  %zero = arith.constant 0.0 : f32
  dlc.parallel %count grain 1 {
  ^bb0(%first: index, %end: index, %own: !llvm.ptr, %since: index):
    memref.store %zero, %a[%first] : memref<64xf32>
    dlc.yield
  }
  return
}
