// RUN: dlc-opt %s -dlc-bind-interface -split-input-file -verify-diagnostics | FileCheck %s

// Places of 64 bytes behind a header of as many; one for equal values.
// CHECK: dlc.state_size = 256
// CHECK-LABEL: func.func @main
// CHECK: dlc.state 64 : memref<17xf32>
// CHECK: dlc.state 192 : memref<2xi8>
// CHECK: dlc.state 64 : memref<17xf32>
// CHECK-LABEL: func.func @init(%{{.*}}: !llvm.ptr) -> i32
// CHECK: %[[B:.*]] = dlc.state 192 : memref<2xi8>
// CHECK: %[[A:.*]] = dlc.state 64 : memref<17xf32>
// CHECK: %[[E:.*]] = bufferization.to_tensor %[[A]] restrict writable
// CHECK: %[[X:.*]] = linalg.exp {{.*}} outs(%[[E]]
// CHECK-DAG: bufferization.materialize_in_destination %[[X]] in writable %[[A]]
// CHECK-DAG: bufferization.materialize_in_destination %{{.*}} in writable %[[B]]
func.func @main() -> (tensor<17xf32>, tensor<2xi8>, tensor<17xf32>) {
  %0 = dlc.expanded 0 : tensor<17xf32>
  %1 = dlc.expanded 1 : tensor<2xi8>
  %2 = dlc.expanded 2 : tensor<17xf32>
  return %0, %1, %2 : tensor<17xf32>, tensor<2xi8>, tensor<17xf32>
}
func.func @init() -> (tensor<17xf32>, tensor<2xi8>, tensor<17xf32>) {
  %w = arith.constant dense<1.0> : tensor<17xf32>
  %e = tensor.empty() : tensor<17xf32>
  %x = linalg.exp ins(%w : tensor<17xf32>) outs(%e : tensor<17xf32>) -> tensor<17xf32>
  %y = arith.constant dense<1> : tensor<2xi8>
  return %x, %y, %x : tensor<17xf32>, tensor<2xi8>, tensor<17xf32>
}

// -----

func.func @main() -> tensor<17xf32> {
  // expected-error @below {{expected a result of @init, which has 0, found number 1}}
  %0 = dlc.expanded 1 : tensor<17xf32>
  return %0 : tensor<17xf32>
}
