// RUN: dlc-opt %s --dlc-lower-to-linalg --canonicalize | FileCheck %s

// A convolution or pool that leaves an image's size as it is shows that: its
// result and what it was made of are added without a choice in the run.

// CHECK-LABEL: @residual
// CHECK-NOT: arith.cmpi
// CHECK-NOT: arith.maxsi
// CHECK: return
func.func @residual(%x: tensor<?x?x?x8xf32>, %w: tensor<3x3x8x8xf32>) -> tensor<?x?x?x8xf32> {
  %0 = dlc.conv %x, %w strides = [1, 1] dilations = [1, 1] pads = [1, 1, 1, 1] group = 1 : tensor<?x?x?x8xf32>, tensor<3x3x8x8xf32> -> tensor<?x?x?x8xf32>
  %1 = dlc.add %0, %x : tensor<?x?x?x8xf32>, tensor<?x?x?x8xf32>
  return %1 : tensor<?x?x?x8xf32>
}

// Without padding the size may be negative before it is cut off.

// CHECK-LABEL: @smaller
// CHECK: arith.maxsi
func.func @smaller(%x: tensor<1x?x8x8xf32>, %w: tensor<3x3x8x8xf32>) -> tensor<1x?x6x8xf32> {
  %0 = dlc.conv %x, %w strides = [1, 1] dilations = [1, 1] pads = [0, 0, 0, 0] group = 1 : tensor<1x?x8x8xf32>, tensor<3x3x8x8xf32> -> tensor<1x?x6x8xf32>
  return %0 : tensor<1x?x6x8xf32>
}
