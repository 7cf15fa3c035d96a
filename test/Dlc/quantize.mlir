// RUN: dlc-opt %s | dlc-opt | FileCheck %s

// CHECK-LABEL: @f
// CHECK: %[[Q:.*]] = dlc.quantize %arg0, %arg1, %arg2 : tensor<4x8xf32>, tensor<f32>, tensor<ui8>
// CHECK: %[[S:.*]] = dlc.matmul %[[Q]], %arg3 zeros %arg2, %arg4 : tensor<ui8>, tensor<8xi8> : tensor<4x8xui8>, tensor<8x8xi8> -> tensor<4x8xi32>
// CHECK: %[[R:.*]] = dlc.requantize %[[S]], %arg5, %arg2 : tensor<4x8xi32>, tensor<8xf32>, tensor<ui8>
// CHECK: dlc.dequantize %[[R]], %arg1, %arg2 : tensor<4x8xui8>, tensor<f32>, tensor<ui8>
func.func @f(%x: tensor<4x8xf32>, %s: tensor<f32>, %z: tensor<ui8>, %w: tensor<8x8xi8>, %wz: tensor<8xi8>, %f: tensor<8xf32>) -> tensor<4x8xf32> {
  %0 = dlc.quantize %x, %s, %z : tensor<4x8xf32>, tensor<f32>, tensor<ui8>
  %1 = dlc.matmul %0, %w zeros %z, %wz : tensor<ui8>, tensor<8xi8> : tensor<4x8xui8>, tensor<8x8xi8> -> tensor<4x8xi32>
  %2 = dlc.requantize %1, %f, %z : tensor<4x8xi32>, tensor<8xf32>, tensor<ui8>
  %3 = dlc.dequantize %2, %s, %z : tensor<4x8xui8>, tensor<f32>, tensor<ui8>
  return %3 : tensor<4x8xf32>
}
