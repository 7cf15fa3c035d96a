// RUN: dlc-opt %s --dlc-strassen | FileCheck %s
// RUN: dlc-opt %s --dlc-strassen=pass-bytes=1 | FileCheck %s --check-prefix=SLOW

// Seven products of quarters; what follows is computed in quarters, too.
// CHECK-LABEL: @layer
// CHECK-COUNT-7: dlc.matmul {{.*}} : tensor<1x64x384xf32>, tensor<384x512xf32> -> tensor<1x64x512xf32>
// CHECK-NOT: dlc.matmul
// CHECK-COUNT-4: dlc.tanh {{.*}} : tensor<1x64x512xf32>
// CHECK: dlc.concat {{.*}} axis = 1
// CHECK-NEXT: return
// SLOW-LABEL: @layer
// SLOW: dlc.matmul {{.*}} -> tensor<1x128x1024xf32>
// SLOW-NOT: dlc.matmul
// SLOW: return
func.func @layer(%x: tensor<1x128x768xf32>, %r: tensor<1x128x1024xf32>) -> tensor<1x128x1024xf32> {
  %w = dlc.constant dense<1.5> : tensor<768x1024xf32>
  %b = dlc.constant dense<0.5> : tensor<1024xf32>
  %0 = dlc.matmul %x, %w : tensor<1x128x768xf32>, tensor<768x1024xf32> -> tensor<1x128x1024xf32>
  %1 = dlc.add %0, %b : tensor<1x128x1024xf32>, tensor<1024xf32>
  %2 = dlc.add %r, %1 : tensor<1x128x1024xf32>, tensor<1x128x1024xf32>
  %3 = dlc.tanh %2 : tensor<1x128x1024xf32>
  return %3 : tensor<1x128x1024xf32>
}

// Others need the whole: it is made once.
// CHECK-LABEL: @whole
// CHECK-COUNT-7: dlc.matmul
// CHECK: %[[Y:.*]] = dlc.concat {{.*}} axis = 0
// CHECK-DAG: dlc.reduce sum %[[Y]]
// CHECK-DAG: dlc.tanh %[[Y]]
func.func @whole(%x: tensor<512x512xf32>) -> (tensor<512x1xf32>, tensor<512x512xf32>) {
  %w = dlc.constant dense<1.5> : tensor<512x512xf32>
  %0 = dlc.matmul %x, %w : tensor<512x512xf32>, tensor<512x512xf32> -> tensor<512x512xf32>
  %1 = dlc.reduce sum %0 axes = [1] : tensor<512x512xf32>
  %2 = dlc.tanh %0 : tensor<512x512xf32>
  return %1, %2 : tensor<512x1xf32>, tensor<512x512xf32>
}

// Odd or unknown sizes, several products, a right side of the run, few rows.
// CHECK-LABEL: @others
// CHECK: dlc.matmul {{.*}} -> tensor<197x768xf32>
// CHECK: dlc.matmul {{.*}} -> tensor<?x768xf32>
// CHECK: dlc.matmul {{.*}} -> tensor<2x512x768xf32>
// CHECK: dlc.matmul {{.*}} -> tensor<512x768xf32>
// CHECK: dlc.matmul {{.*}} -> tensor<2x768xf32>
func.func @others(%a: tensor<197x768xf32>, %b: tensor<?x768xf32>, %c: tensor<2x512x768xf32>, %d: tensor<512x768xf32>, %e: tensor<768x768xf32>, %f: tensor<2x768xf32>) -> (tensor<197x768xf32>, tensor<?x768xf32>, tensor<2x512x768xf32>, tensor<512x768xf32>, tensor<2x768xf32>) {
  %w = dlc.constant dense<1.5> : tensor<768x768xf32>
  %0 = dlc.matmul %a, %w : tensor<197x768xf32>, tensor<768x768xf32> -> tensor<197x768xf32>
  %1 = dlc.matmul %b, %w : tensor<?x768xf32>, tensor<768x768xf32> -> tensor<?x768xf32>
  %2 = dlc.matmul %c, %w : tensor<2x512x768xf32>, tensor<768x768xf32> -> tensor<2x512x768xf32>
  %3 = dlc.matmul %d, %e : tensor<512x768xf32>, tensor<768x768xf32> -> tensor<512x768xf32>
  %4 = dlc.matmul %f, %w : tensor<2x768xf32>, tensor<768x768xf32> -> tensor<2x768xf32>
  return %0, %1, %2, %3, %4 : tensor<197x768xf32>, tensor<?x768xf32>, tensor<2x512x768xf32>, tensor<512x768xf32>, tensor<2x768xf32>
}

// What is added may be one row or all: that has no halves.
// CHECK-LABEL: @unknown_operand
// CHECK-COUNT-7: dlc.matmul
// CHECK: %[[Y:.*]] = dlc.concat {{.*}} axis = 0
// CHECK: dlc.add %[[Y]], %arg1
func.func @unknown_operand(%x: tensor<512x512xf32>, %y: tensor<?x512xf32>) -> tensor<512x512xf32> {
  %w = dlc.constant dense<1.5> : tensor<512x512xf32>
  %0 = dlc.matmul %x, %w : tensor<512x512xf32>, tensor<512x512xf32> -> tensor<512x512xf32>
  %1 = dlc.add %0, %y : tensor<512x512xf32>, tensor<?x512xf32>
  return %1 : tensor<512x512xf32>
}
