// RUN: dlc-opt --dlc-fold-scale --split-input-file %s | FileCheck %s

// CHECK-LABEL: @conv
// CHECK: %[[W:.*]] = dlc.mul {{.*}} : tensor<1x1x3x2xf32>, tensor<2xf32>
// CHECK: %[[Y:.*]] = dlc.conv %arg0, %[[W]]
// CHECK: return %[[Y]]
func.func @conv(%x: tensor<1x4x4x3xf32>) -> tensor<1x4x4x2xf32> {
  %w = dlc.constant dense<2.0> : tensor<1x1x3x2xf32>
  %s = dlc.constant dense<[[[[1.0, 2.0]]]]> : tensor<1x1x1x2xf32>
  %0 = dlc.conv %x, %w strides = [1, 1] dilations = [1, 1] pads = [0, 0, 0, 0] group = 1 : tensor<1x4x4x3xf32>, tensor<1x1x3x2xf32> -> tensor<1x4x4x2xf32>
  %1 = dlc.mul %0, %s : tensor<1x4x4x2xf32>, tensor<1x1x1x2xf32>
  return %1 : tensor<1x4x4x2xf32>
}

// -----

// The unscaled result is used as well: folding would compute it twice.
// CHECK-LABEL: @two_uses
// CHECK: %[[Y:.*]] = dlc.conv
// CHECK: dlc.mul %[[Y]]
func.func @two_uses(%x: tensor<1x4x4x3xf32>) -> (tensor<1x4x4x2xf32>, tensor<1x4x4x2xf32>) {
  %w = dlc.constant dense<2.0> : tensor<1x1x3x2xf32>
  %s = dlc.constant dense<[[[[1.0, 2.0]]]]> : tensor<1x1x1x2xf32>
  %0 = dlc.conv %x, %w strides = [1, 1] dilations = [1, 1] pads = [0, 0, 0, 0] group = 1 : tensor<1x4x4x3xf32>, tensor<1x1x3x2xf32> -> tensor<1x4x4x2xf32>
  %1 = dlc.mul %0, %s : tensor<1x4x4x2xf32>, tensor<1x1x1x2xf32>
  return %0, %1 : tensor<1x4x4x2xf32>, tensor<1x4x4x2xf32>
}

// -----

// A scale along the rows is no factor of the columns.
// CHECK-LABEL: @rows
// CHECK: %[[Y:.*]] = dlc.matmul
// CHECK: dlc.mul %[[Y]]
func.func @rows(%x: tensor<2x3xf32>) -> tensor<2x2xf32> {
  %w = dlc.constant dense<2.0> : tensor<3x2xf32>
  %s = dlc.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %0 = dlc.matmul %x, %w : tensor<2x3xf32>, tensor<3x2xf32> -> tensor<2x2xf32>
  %1 = dlc.mul %0, %s : tensor<2x2xf32>, tensor<2x1xf32>
  return %1 : tensor<2x2xf32>
}

// -----

// CHECK-LABEL: @bias
// CHECK: %[[W:.*]] = dlc.mul {{.*}} : tensor<3x2xf32>, tensor<2xf32>
// CHECK: %[[Y:.*]] = dlc.matmul %arg0, %[[W]]
// CHECK: dlc.add %[[Y]], {{.*}} : tensor<2x2xf32>, tensor<2xf32>
// CHECK-NOT: dlc.add
func.func @bias(%x: tensor<2x3xf32>) -> tensor<2x2xf32> {
  %w = dlc.constant dense<2.0> : tensor<3x2xf32>
  %b = dlc.constant dense<[3.0, 4.0]> : tensor<2xf32>
  %s = dlc.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %0 = dlc.matmul %x, %w : tensor<2x3xf32>, tensor<3x2xf32> -> tensor<2x2xf32>
  %1 = dlc.add %0, %b : tensor<2x2xf32>, tensor<2xf32>
  %2 = dlc.mul %1, %s : tensor<2x2xf32>, tensor<2xf32>
  return %2 : tensor<2x2xf32>
}
