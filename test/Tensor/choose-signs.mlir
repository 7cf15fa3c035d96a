// RUN: dlc-opt %s -dlc-choose-signs="bytes=unsigned" -split-input-file | FileCheck %s
// RUN: dlc-opt %s -dlc-choose-signs="bytes=signed" -split-input-file | FileCheck %s --check-prefix=SIGNED
// RUN: dlc-opt %s -dlc-choose-signs -split-input-file | FileCheck %s --check-prefix=ANY
// RUN: not dlc-opt %s -dlc-choose-signs="bytes=some" 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: dlc-choose-signs: expected bytes=any, unsigned, signed or unsigned-or-tiles, found 'some'

// A sum of a quantized tensor and what it was made of: all of its class is
// unsigned, with zero points of 128 more. What the caller gets stays.
// CHECK-LABEL: @chain
// CHECK: %[[Z:.*]] = dlc.constant dense<131> : tensor<ui8>
// CHECK: %[[Q:.*]] = dlc.quantize %arg0, %{{.*}}, %[[Z]] : tensor<1x4x4x8xf32>, tensor<f32>, tensor<ui8>
// CHECK: %[[P:.*]] = dlc.pool max %[[Q]] {{.*}} : tensor<1x4x4x8xui8> -> tensor<1x3x3x8xui8>
// CHECK: %[[L:.*]] = dlc.constant dense<130> : tensor<ui8>
// CHECK: %[[M:.*]] = dlc.max %[[P]], %[[L]] : tensor<1x3x3x8xui8>, tensor<ui8>
// CHECK: dlc.conv %[[M]], %arg1 zeros %{{.*}}, %{{.*}} : tensor<ui8>, tensor<i8>
// CHECK: dlc.dequantize %[[M]], {{.*}} : tensor<1x3x3x8xui8>, tensor<f32>, tensor<ui8>
// CHECK: dlc.requantize {{.*}} tensor<f32>, tensor<i8>
// SIGNED-LABEL: @chain
// SIGNED-NOT: ui8
// ANY-LABEL: @chain
// ANY-NOT: ui8
func.func @chain(%x: tensor<1x4x4x8xf32>, %w: tensor<1x1x8x16xi8>) -> (tensor<1x3x3x16xi8>, tensor<1x3x3x8xf32>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<3> : tensor<i8>
  %wz = dlc.constant dense<0> : tensor<i8>
  %low = dlc.constant dense<2> : tensor<i8>
  %0 = dlc.quantize %x, %s, %z : tensor<1x4x4x8xf32>, tensor<f32>, tensor<i8>
  %1 = dlc.pool max %0 kernel = [2, 2] strides = [1, 1] dilations = [1, 1] pads = [0, 0, 0, 0] : tensor<1x4x4x8xi8> -> tensor<1x3x3x8xi8>
  %2 = dlc.max %1, %low : tensor<1x3x3x8xi8>, tensor<i8>
  %3 = dlc.conv %2, %w zeros %z, %wz : tensor<i8>, tensor<i8> strides = [1, 1] dilations = [1, 1] pads = [0, 0, 0, 0] group = 1 : tensor<1x3x3x8xi8>, tensor<1x1x8x16xi8> -> tensor<1x3x3x16xi32>
  %4 = dlc.dequantize %2, %s, %z : tensor<1x3x3x8xi8>, tensor<f32>, tensor<i8>
  %5 = dlc.requantize %3, %s, %wz : tensor<1x3x3x16xi32>, tensor<f32>, tensor<i8>
  return %5, %4 : tensor<1x3x3x16xi8>, tensor<1x3x3x8xf32>
}

// -----

// The right operand is signed, whatever the machine; zero points that are not
// known, and arguments, stay as they are.
// CHECK-LABEL: @right
// CHECK: dlc.quantize %arg1, {{.*}} : tensor<8x16xf32>, tensor<f32>, tensor<i8>
// CHECK: dlc.matmul {{.*}} : tensor<ui8>, tensor<i8> : tensor<4x8xui8>, tensor<8x16xi8>
// SIGNED-LABEL: @right
// SIGNED: dlc.matmul {{.*}} : tensor<ui8>, tensor<i8> : tensor<4x8xui8>, tensor<8x16xi8>
// ANY-LABEL: @right
// ANY: dlc.matmul {{.*}} : tensor<ui8>, tensor<i8> : tensor<4x8xui8>, tensor<8x16xi8>
func.func @right(%x: tensor<4x8xui8>, %y: tensor<8x16xf32>, %xz: tensor<ui8>) -> tensor<4x16xi32> {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<130> : tensor<ui8>
  %0 = dlc.quantize %y, %s, %z : tensor<8x16xf32>, tensor<f32>, tensor<ui8>
  %1 = dlc.matmul %x, %0 zeros %xz, %z : tensor<ui8>, tensor<ui8> : tensor<4x8xui8>, tensor<8x16xui8> -> tensor<4x16xi32>
  return %1 : tensor<4x16xi32>
}

// -----

// One that is on the left and on the right stays.
// CHECK-LABEL: @both
// CHECK-NOT: ui8
func.func @both(%x: tensor<8x8xf32>) -> tensor<8x8xi32> {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<0> : tensor<i8>
  %0 = dlc.quantize %x, %s, %z : tensor<8x8xf32>, tensor<f32>, tensor<i8>
  %1 = dlc.matmul %0, %0 zeros %z, %z : tensor<i8>, tensor<i8> : tensor<8x8xi8>, tensor<8x8xi8> -> tensor<8x8xi32>
  return %1 : tensor<8x8xi32>
}

// -----

// The number itself, as for a place in a table, is 128 less; numbers of the
// table change like others.
// CHECK-LABEL: @table
// CHECK: %[[Q:.*]] = dlc.quantize %arg0, {{.*}} tensor<ui8>
// CHECK: %[[C:.*]] = dlc.cast %[[Q]] : tensor<4x8xui8> to tensor<4x8xi32>
// CHECK: %[[N:.*]] = dlc.constant dense<-128> : tensor<i32>
// CHECK: %[[I:.*]] = dlc.add %[[C]], %[[N]]
// CHECK: dlc.cast %[[I]] : tensor<4x8xi32> to tensor<4x8xi32>
// CHECK: dlc.gather %{{.*}}, %{{.*}} axis = 0 : tensor<256xui8>, tensor<4x8xi32>
// CHECK: dlc.matmul {{.*}} tensor<4x8xui8>
func.func @table(%x: tensor<4x8xf32>, %w: tensor<8x16xi8>, %t: tensor<256xf32>) -> (tensor<4x16xi32>, tensor<4x16xi32>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<0> : tensor<i8>
  %0 = dlc.quantize %t, %s, %z : tensor<256xf32>, tensor<f32>, tensor<i8>
  %1 = dlc.quantize %x, %s, %z : tensor<4x8xf32>, tensor<f32>, tensor<i8>
  %2 = dlc.cast %1 : tensor<4x8xi8> to tensor<4x8xi32>
  %3 = dlc.gather %0, %2 axis = 0 : tensor<256xi8>, tensor<4x8xi32>
  %4 = dlc.matmul %3, %w zeros %z, %z : tensor<i8>, tensor<i8> : tensor<4x8xi8>, tensor<8x16xi8> -> tensor<4x16xi32>
  %5 = dlc.matmul %1, %w zeros %z, %z : tensor<i8>, tensor<i8> : tensor<4x8xi8>, tensor<8x16xi8> -> tensor<4x16xi32>
  return %4, %5 : tensor<4x16xi32>, tensor<4x16xi32>
}

// -----

// Parts and padding that are constants change with the rest; a class with a
// tensor of which little is known (here, an argument) stays.
// CHECK-LABEL: @parts
// CHECK: %[[P:.*]] = dlc.constant dense<{{\[\[}}128, 129]]> : tensor<1x2xui8>
// CHECK: dlc.concat %{{.*}}, %[[P]] axis = 1 : tensor<1x4xui8>, tensor<1x2xui8>
// CHECK: %[[V:.*]] = dlc.constant dense<121> : tensor<ui8>
// CHECK: dlc.pad constant %{{.*}}, %[[V]] {{.*}} : tensor<1x6xui8>, tensor<ui8> to tensor<1x8xui8>
// CHECK: dlc.matmul %{{.*}} : tensor<i8>, tensor<i8> : tensor<1x4xi8>, tensor<4x2xi8>
func.func @parts(%x: tensor<1x4xf32>, %w: tensor<8x2xi8>, %a: tensor<1x2xi8>) -> (tensor<1x2xi32>, tensor<1x2xi32>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<0> : tensor<i8>
  %c = dlc.constant dense<[[0, 1]]> : tensor<1x2xi8>
  %v = dlc.constant dense<-7> : tensor<i8>
  %0 = dlc.quantize %x, %s, %z : tensor<1x4xf32>, tensor<f32>, tensor<i8>
  %1 = dlc.concat %0, %c axis = 1 : tensor<1x4xi8>, tensor<1x2xi8>
  %2 = dlc.pad constant %1, %v low [0, 1] high [0, 1] : tensor<1x6xi8>, tensor<i8> to tensor<1x8xi8>
  %3 = dlc.matmul %2, %w zeros %z, %z : tensor<i8>, tensor<i8> : tensor<1x8xi8>, tensor<8x2xi8> -> tensor<1x2xi32>
  %4 = dlc.quantize %x, %s, %z : tensor<1x4xf32>, tensor<f32>, tensor<i8>
  %5 = dlc.slice %4 [0, 0] [1, 2] [1, 1] : tensor<1x4xi8> to tensor<1x2xi8>
  %6 = dlc.concat %5, %a axis = 1 : tensor<1x2xi8>, tensor<1x2xi8>
  %7 = dlc.slice %w [0, 0] [4, 2] [1, 1] : tensor<8x2xi8> to tensor<4x2xi8>
  %8 = dlc.matmul %6, %7 zeros %z, %z : tensor<i8>, tensor<i8> : tensor<1x4xi8>, tensor<4x2xi8> -> tensor<1x2xi32>
  return %3, %8 : tensor<1x2xi32>, tensor<1x2xi32>
}

// -----

// A constant, padded with a number of the run: neither is turned.
// CHECK-LABEL: @padding
// CHECK: dlc.quantize {{.*}} tensor<i8>
// CHECK: dlc.pad constant %{{.*}}, %{{.*}} : tensor<4xi8>, tensor<i8> to tensor<6xi8>
func.func @padding(%x: tensor<4x8xf32>, %w: tensor<8x16xi8>) -> (tensor<4x16xi32>, tensor<6xf32>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<0> : tensor<i8>
  %c = dlc.constant dense<[1, 2, 3, 4]> : tensor<4xi8>
  %0 = dlc.quantize %x, %s, %z : tensor<4x8xf32>, tensor<f32>, tensor<i8>
  %1 = dlc.matmul %0, %w zeros %z, %z : tensor<i8>, tensor<i8> : tensor<4x8xi8>, tensor<8x16xi8> -> tensor<4x16xi32>
  %2 = dlc.slice %0 [0, 0] [1, 1] [1, 1] : tensor<4x8xi8> to tensor<1x1xi8>
  %3 = dlc.reshape %2 : tensor<1x1xi8> to tensor<i8>
  %4 = dlc.pad constant %c, %3 low [1] high [1] : tensor<4xi8>, tensor<i8> to tensor<6xi8>
  %5 = dlc.dequantize %4, %s, %z : tensor<6xi8>, tensor<f32>, tensor<i8>
  return %1, %5 : tensor<4x16xi32>, tensor<6xf32>
}
