// RUN: dlc-opt %s --dlc-skip-empty-loops | FileCheck %s

// CHECK-LABEL: func @nest
// CHECK-SAME: %[[N:.*]]: index, %[[M:.*]]: index, %[[Y:.*]]: memref
// CHECK: %[[ANY:.*]] = arith.cmpi slt, %{{.*}}, %[[M]]
// CHECK: scf.if %[[ANY]] {
// CHECK-NEXT: scf.for %{{.*}} = %{{.*}} to %[[N]]
// CHECK-NOT: scf.if
func.func @nest(%n: index, %m: index, %y: memref<?x?xf32>, %x: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %m step %c1 {
      memref.store %x, %y[%i, %j] : memref<?x?xf32>
    }
  }
  return
}

// A bound that is computed inside is computed in front; one of two loops
// suffices; the result of a loop that is left out is what it began with.
// CHECK-LABEL: func @sum
// CHECK: %[[SIZE:.*]] = memref.dim
// CHECK: %[[FIRST:.*]] = arith.cmpi slt, %{{.*}}, %[[SIZE]]
// CHECK: %[[SECOND:.*]] = arith.cmpi slt
// CHECK: %[[ANY:.*]] = arith.ori %[[FIRST]], %[[SECOND]]
// CHECK: scf.if %[[ANY]] -> (index) {
// CHECK: } else {
// CHECK-NEXT: scf.yield %{{.*}} : index
func.func @sum(%n: index, %k: index, %y: memref<?x?xindex>) -> index {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%s = %c0) -> (index) {
    %m = memref.dim %y, %c1 : memref<?x?xindex>
    %t = scf.for %j = %c0 to %m step %c1 iter_args(%u = %s) -> (index) {
      %e = memref.load %y[%i, %j] : memref<?x?xindex>
      %v = arith.addi %u, %e : index
      scf.yield %v : index
    }
    scf.for %j = %c0 to %k step %c1 {
      memref.store %i, %y[%i, %j] : memref<?x?xindex>
    }
    scf.yield %t : index
  }
  return %r : index
}

// What a kernel does is seen where it is called.
// CHECK-LABEL: func @call
// CHECK: scf.if
// CHECK-NEXT: scf.for
func.func @call(%n: index, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    func.call @kernel(%y) : (memref<?xf32>) -> ()
  }
  return
}
func.func private @kernel(%y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = arith.constant 0.0 : f32
  %m = memref.dim %y, %c0 : memref<?xf32>
  scf.for %j = %c0 to %m step %c1 {
    memref.store %x, %y[%j] : memref<?xf32>
  }
  return
}

// Nothing is asked before few trips, trips of known number, a loop that does
// something else, bounds that depend on the iteration, and a result that
// changes without an inner trip.
// CHECK-LABEL: func @left_alone
// CHECK-NOT: scf.if
// CHECK: return
func.func @left_alone(%n: index, %m: index, %y: memref<?x?xf32>, %x: f32) -> index {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    scf.for %j = %c0 to %m step %c1 {
      memref.store %x, %y[%i, %j] : memref<?x?xf32>
    }
  }
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %c8 step %c1 {
      memref.store %x, %y[%i, %j] : memref<?x?xf32>
    }
  }
  scf.for %i = %c0 to %n step %c1 {
    memref.store %x, %y[%i, %c0] : memref<?x?xf32>
    scf.for %j = %c0 to %m step %c1 {
      memref.store %x, %y[%i, %j] : memref<?x?xf32>
    }
  }
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %i step %c1 {
      memref.store %x, %y[%i, %j] : memref<?x?xf32>
    }
  }
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%s = %c0) -> (index) {
    scf.for %j = %c0 to %m step %c1 {
      memref.store %x, %y[%i, %j] : memref<?x?xf32>
    }
    %t = arith.addi %s, %c1 : index
    scf.yield %t : index
  }
  return %r : index
}
