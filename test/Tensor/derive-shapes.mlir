// RUN: dlc-opt %s -split-input-file -dlc-derive-shapes -canonicalize -cse | FileCheck %s

// Sizes come from the sizes of inputs, which stand in one array.
// CHECK: func.func @main
// CHECK: func.func @shapes(%[[IN:.*]]: memref<4xi64>, %[[OUT:.*]]: memref<5xi64>) attributes {llvm.bareptr}
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[C2:.*]] = arith.constant 2 : index
// CHECK-DAG: %[[C3:.*]] = arith.constant 3 : index
// CHECK: %[[N:.*]] = memref.load %[[IN]][%[[C0]]]
// CHECK: %[[Z:.*]] = memref.load %[[IN]][%[[C3]]]
// CHECK: %[[I:.*]] = arith.index_cast %[[Z]] : i64 to index
// CHECK: %[[Y:.*]] = memref.load %[[IN]][%[[C2]]]
// CHECK: %[[J:.*]] = arith.index_cast %[[Y]] : i64 to index
// CHECK: %[[SUM:.*]] = arith.addi %[[I]], %[[J]]
// CHECK: memref.store %[[N]], %[[OUT]][%[[C0]]]
// CHECK: %[[S:.*]] = arith.index_cast %[[SUM]] : index to i64
// CHECK: memref.store %[[S]], %[[OUT]][%[[C2]]]
// The static size at place 1 is nobody's question, nor is the second result.
// CHECK-NOT: memref.store
// CHECK: return
func.func @main(%x: tensor<?x4xf32>, %y: tensor<?xf32>, %z: tensor<?xf32>) -> (tensor<?x4xf32>, tensor<?xf32>, tensor<1x2xf32>) {
  %0 = dlc.tanh %x : tensor<?x4xf32>
  %1 = dlc.concat %z, %y axis = 0 : tensor<?xf32>, tensor<?xf32>
  %2 = tensor.empty() : tensor<1x2xf32>
  return %0, %1, %2 : tensor<?x4xf32>, tensor<?xf32>, tensor<1x2xf32>
}

// -----

// A size that is an element of a tensor is known to a run only.
// CHECK: func.func @shapes(%{{.*}}: memref<1xi64>, %[[OUT:.*]]: memref<1xi64>)
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[UNKNOWN:.*]] = arith.constant -1 : i64
// CHECK: memref.store %[[UNKNOWN]], %[[OUT]][%[[C0]]]
func.func @main(%x: tensor<2xindex>) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.extract %x[%c0] : tensor<2xindex>
  %0 = tensor.empty(%n) : tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// A division by at least 1 is computed, one by what may be 0 is not.
// CHECK: -----
// CHECK: func.func @shapes(%[[IN:.*]]: memref<2xi64>, %[[OUT:.*]]: memref<2xi64>)
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[C1:.*]] = arith.constant 1 : index
// CHECK-DAG: %[[UNKNOWN:.*]] = arith.constant -1 : i64
// CHECK: %[[DIVISOR:.*]] = arith.maxsi %{{.*}}, %[[C1]] : index
// CHECK: %[[QUOTIENT:.*]] = arith.divui %{{.*}}, %[[DIVISOR]] : index
// CHECK: %[[N:.*]] = arith.index_cast %[[QUOTIENT]] : index to i64
// CHECK: memref.store %[[N]], %[[OUT]][%[[C0]]]
// CHECK: memref.store %[[UNKNOWN]], %[[OUT]][%[[C1]]]
func.func @main(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  %m = tensor.dim %y, %c0 : tensor<?xf32>
  %divisor = arith.maxsi %m, %c1 : index
  %0 = arith.divui %n, %divisor : index
  %1 = arith.divui %n, %m : index
  %2 = tensor.empty(%0, %1) : tensor<?x?xf32>
  return %2 : tensor<?x?xf32>
}

// -----

// All is static: no function.
// CHECK: -----
// CHECK: func.func @main
// CHECK-NOT: @shapes
func.func @main(%x: tensor<?xf32>) -> tensor<2xf32> {
  %0 = tensor.empty() : tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

// No model at all.
// CHECK: -----
// CHECK: func.func @other
// CHECK-NOT: @shapes
func.func @other(%x: tensor<?xf32>) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}

// -----

// What a sequence holds is known to a run only.
// CHECK: -----
// CHECK: func.func @shapes(%{{.*}}: memref<0xi64>, %[[OUT:.*]]: memref<1xi64>)
// CHECK-NOT: dlc.
// CHECK: memref.store %{{.*}}, %[[OUT]]
// CHECK-NOT: dlc.
// CHECK: return
func.func @main(%s: !dlc.seq<f32>) -> (tensor<?xf32>, !dlc.seq<f32>) {
  %0 = dlc.sequence_length %s : !dlc.seq<f32>
  %1 = tensor.empty(%0) : tensor<?xf32>
  return %1, %s : tensor<?xf32>, !dlc.seq<f32>
}
