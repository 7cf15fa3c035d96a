// RUN: dlc-opt %s --dlc-derive-shapes --dlc-lower-to-linalg --canonicalize --cse --dlc-fuse-elementwise --dlc-fuse-epilogue --canonicalize | FileCheck %s

// The channels of the groups become one dimension again: what follows moves
// in front of that, and into the epilogue, whatever sizes are unknown.
// CHECK-LABEL: @depthwise
// CHECK: dlc.contract {{.*}} extras {{.*}} : tensor<8x1xf32>{{.*}} -> tensor<?x?x?x8x1xf32>
// CHECK: arith.addf
// CHECK: arith.maximumf
// CHECK-NOT: linalg.generic
// CHECK: tensor.collapse_shape {{.*}} [{{\[}}0], [1], [2], [3, 4]]
func.func @depthwise(%x: tensor<?x?x?x8xf32>, %w: tensor<3x3x1x8xf32>, %bias: tensor<8xf32>) -> tensor<?x?x?x8xf32> {
  %zero = arith.constant dense<0.0> : tensor<f32>
  %0 = dlc.conv %x, %w strides = [1, 1] dilations = [1, 1] pads = [0, 0, 0, 0] group = 8 : tensor<?x?x?x8xf32>, tensor<3x3x1x8xf32> -> tensor<?x?x?x8xf32>
  %1 = dlc.add %0, %bias : tensor<?x?x?x8xf32>, tensor<8xf32>
  %2 = dlc.max %1, %zero : tensor<?x?x?x8xf32>, tensor<f32>
  return %2 : tensor<?x?x?x8xf32>
}
