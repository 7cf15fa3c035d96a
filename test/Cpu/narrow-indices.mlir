// RUN: dlc-opt %s --dlc-narrow-indices | FileCheck %s

// CHECK-LABEL: @casts
// CHECK-SAME: (%[[X:.*]]: i64, %[[N:.*]]: i32, %[[I:.*]]: index)
func.func @casts(%x: i64, %n: i32, %i: index) -> (index, index, index, i64) {
  // CHECK: %[[HIGH:.*]] = arith.constant 1073741824 : i64
  // CHECK: %[[LOW:.*]] = arith.constant -1073741824 : i64
  // CHECK: %[[BELOW:.*]] = arith.minsi %[[X]], %[[HIGH]]
  // CHECK: %[[INSIDE:.*]] = arith.maxsi %[[BELOW]], %[[LOW]]
  // CHECK: arith.index_cast %[[INSIDE]] : i64 to index
  %0 = arith.index_cast %x : i64 to index
  // CHECK: %[[LEAST:.*]] = arith.minui %[[X]], %{{.*}}
  // CHECK: arith.index_castui %[[LEAST]] : i64 to index
  %1 = arith.index_castui %x : i64 to index
  // 32 bits fit, and an index is no wider than it was.
  // CHECK: arith.index_cast %[[N]] : i32 to index
  %2 = arith.index_cast %n : i32 to index
  // CHECK: arith.index_cast %[[I]] : index to i64
  %3 = arith.index_cast %i : index to i64
  return %0, %1, %2, %3 : index, index, index, i64
}

// CHECK-LABEL: @constants
func.func @constants() -> (index, index, index, i64) {
  // CHECK-DAG: arith.constant 1073741824 : index
  %0 = arith.constant 9223372036854775807 : index
  // CHECK-DAG: arith.constant -1073741824 : index
  %1 = arith.constant -4294967297 : index
  // CHECK-DAG: arith.constant 1073741823 : index
  %2 = arith.constant 1073741823 : index
  // CHECK-DAG: arith.constant 9223372036854775807 : i64
  %3 = arith.constant 9223372036854775807 : i64
  return %0, %1, %2, %3 : index, index, index, i64
}
