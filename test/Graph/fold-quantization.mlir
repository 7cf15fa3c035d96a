// RUN: dlc-opt --dlc-fold-quantization --split-input-file %s | FileCheck %s

// A convolution with a bias, a bound that saturation makes already, and one
// that it doesn't.
// CHECK-LABEL: @conv
// CHECK-DAG: %[[B:.*]] = dlc.constant dense<[7, 9]> : tensor<2xi32>
// CHECK-DAG: %[[HIGH:.*]] = dlc.constant dense<60> : tensor<ui8>
// CHECK: %[[S:.*]] = dlc.conv %arg0, %{{.*}} zeros %{{.*}}, %{{.*}} : tensor<ui8>, tensor<2xi8> {{.*}} -> tensor<1x4x2xi32>
// CHECK: %[[SUM:.*]] = dlc.add %[[S]], %[[B]]
// CHECK: %[[Q:.*]] = dlc.requantize %[[SUM]], %{{.*}}, %{{.*}} : tensor<1x4x2xi32>, tensor<2xf32>, tensor<ui8>
// CHECK-NOT: dlc.max
// CHECK: %[[R:.*]] = dlc.min %[[Q]], %[[HIGH]]
// CHECK: return %[[R]]
func.func @conv(%x: tensor<1x4x3xui8>) -> tensor<1x4x2xui8> {
  %xs = dlc.constant dense<0.5> : tensor<f32>
  %xz = dlc.constant dense<128> : tensor<ui8>
  %w = dlc.constant dense<1> : tensor<1x3x2xi8>
  %ws = dlc.constant dense<[[[0.25, 0.5]]]> : tensor<1x1x2xf32>
  %wz = dlc.constant dense<0> : tensor<1x1x2xi8>
  %b = dlc.constant dense<[7, 9]> : tensor<2xi32>
  %bs = dlc.constant dense<[0.125, 0.25]> : tensor<2xf32>
  %bz = dlc.constant dense<0> : tensor<2xi32>
  %ys = dlc.constant dense<0.1> : tensor<f32>
  %yz = dlc.constant dense<0> : tensor<ui8>
  %zero = dlc.constant dense<0.0> : tensor<f32>
  %six = dlc.constant dense<6.0> : tensor<f32>
  %0 = dlc.dequantize %x, %xs, %xz : tensor<1x4x3xui8>, tensor<f32>, tensor<ui8>
  %1 = dlc.dequantize %w, %ws, %wz : tensor<1x3x2xi8>, tensor<1x1x2xf32>, tensor<1x1x2xi8>
  %2 = dlc.conv %0, %1 strides = [1] dilations = [1] pads = [0, 0] group = 1 : tensor<1x4x3xf32>, tensor<1x3x2xf32> -> tensor<1x4x2xf32>
  %3 = dlc.dequantize %b, %bs, %bz : tensor<2xi32>, tensor<2xf32>, tensor<2xi32>
  %4 = dlc.add %2, %3 : tensor<1x4x2xf32>, tensor<2xf32>
  %5 = dlc.max %4, %zero : tensor<1x4x2xf32>, tensor<f32>
  %6 = dlc.min %5, %six : tensor<1x4x2xf32>, tensor<f32>
  %7 = dlc.quantize %6, %ys, %yz : tensor<1x4x2xf32>, tensor<f32>, tensor<ui8>
  return %7 : tensor<1x4x2xui8>
}

// -----

// Weights of 4 bits become bytes, with the zero points of both.
// CHECK-LABEL: @four_bits
// CHECK-DAG: %[[X:.*]] = dlc.cast %arg0 : tensor<5x3xui4> to tensor<5x3xui8>
// CHECK-DAG: %[[W:.*]] = dlc.cast %{{.*}} : tensor<3x2xi4> to tensor<3x2xi8>
// CHECK: dlc.matmul %[[X]], %[[W]] zeros %{{.*}}, %{{.*}} : tensor<ui8>, tensor<2xi8> {{.*}} -> tensor<5x2xi32>
func.func @four_bits(%x: tensor<5x3xui4>) -> tensor<5x2xf32> {
  %xs = dlc.constant dense<0.5> : tensor<f32>
  %xz = dlc.constant dense<8> : tensor<ui4>
  %w = dlc.constant dense<[[1, 2], [-8, 7], [3, 0]]> : tensor<3x2xi4>
  %ws = dlc.constant dense<[0.25, 0.5]> : tensor<2xf32>
  %wz = dlc.constant dense<[1, -2]> : tensor<2xi4>
  %0 = dlc.dequantize %x, %xs, %xz : tensor<5x3xui4>, tensor<f32>, tensor<ui4>
  %1 = dlc.dequantize %w, %ws, %wz : tensor<3x2xi4>, tensor<2xf32>, tensor<2xi4>
  %2 = dlc.matmul %0, %1 : tensor<5x3xf32>, tensor<3x2xf32> -> tensor<5x2xf32>
  return %2 : tensor<5x2xf32>
}

// -----

// Of 16 bits there are no products of integers.
// CHECK-LABEL: @sixteen_bits
// CHECK: dlc.matmul {{.*}} -> tensor<5x2xf32>
func.func @sixteen_bits(%x: tensor<5x3xui8>, %w: tensor<3x2xi16>) -> tensor<5x2xf32> {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %xz = dlc.constant dense<8> : tensor<ui8>
  %wz = dlc.constant dense<0> : tensor<i16>
  %0 = dlc.dequantize %x, %s, %xz : tensor<5x3xui8>, tensor<f32>, tensor<ui8>
  %1 = dlc.dequantize %w, %s, %wz : tensor<3x2xi16>, tensor<f32>, tensor<i16>
  %2 = dlc.matmul %0, %1 : tensor<5x3xf32>, tensor<3x2xf32> -> tensor<5x2xf32>
  return %2 : tensor<5x2xf32>
}

// -----

// A bias of another scale stays in float.
// CHECK-LABEL: @other_bias
// CHECK: dlc.conv {{.*}} -> tensor<1x4x2xi32>
// CHECK: dlc.dequantize
// CHECK: dlc.add {{.*}} : tensor<1x4x2xf32>
func.func @other_bias(%x: tensor<1x4x3xui8>) -> tensor<1x4x2xf32> {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %xz = dlc.constant dense<128> : tensor<ui8>
  %w = dlc.constant dense<1> : tensor<1x3x2xi8>
  %wz = dlc.constant dense<0> : tensor<i8>
  %b = dlc.constant dense<[7, 9]> : tensor<2xi32>
  %bz = dlc.constant dense<0> : tensor<i32>
  %0 = dlc.dequantize %x, %s, %xz : tensor<1x4x3xui8>, tensor<f32>, tensor<ui8>
  %1 = dlc.dequantize %w, %s, %wz : tensor<1x3x2xi8>, tensor<f32>, tensor<i8>
  %2 = dlc.conv %0, %1 strides = [1] dilations = [1] pads = [0, 0] group = 1 : tensor<1x4x3xf32>, tensor<1x3x2xf32> -> tensor<1x4x2xf32>
  %3 = dlc.dequantize %b, %s, %bz : tensor<2xi32>, tensor<f32>, tensor<i32>
  %4 = dlc.add %2, %3 : tensor<1x4x2xf32>, tensor<2xf32>
  return %4 : tensor<1x4x2xf32>
}

// -----

// Weights with a scale for each row, and activations that aren't quantized,
// make no product of integers.
// CHECK-LABEL: @float
// CHECK: dlc.matmul {{.*}} -> tensor<2x2xf32>
// CHECK: dlc.matmul {{.*}} -> tensor<2x2xf32>
func.func @float(%x: tensor<2x3xui8>, %y: tensor<2x3xf32>, %w: tensor<3x2xi8>) -> (tensor<2x2xf32>, tensor<2x2xf32>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %xz = dlc.constant dense<128> : tensor<ui8>
  %ws = dlc.constant dense<[[1.0], [2.0], [3.0]]> : tensor<3x1xf32>
  %wz = dlc.constant dense<0> : tensor<i8>
  %0 = dlc.dequantize %x, %s, %xz : tensor<2x3xui8>, tensor<f32>, tensor<ui8>
  %1 = dlc.dequantize %w, %ws, %wz : tensor<3x2xi8>, tensor<3x1xf32>, tensor<i8>
  %2 = dlc.matmul %0, %1 : tensor<2x3xf32>, tensor<3x2xf32> -> tensor<2x2xf32>
  %3 = dlc.dequantize %w, %s, %wz : tensor<3x2xi8>, tensor<f32>, tensor<i8>
  %4 = dlc.matmul %y, %3 : tensor<2x3xf32>, tensor<3x2xf32> -> tensor<2x2xf32>
  return %2, %4 : tensor<2x2xf32>, tensor<2x2xf32>
}

// -----

// What moves numbers or takes the largest one works on the integers; equal
// parameters cancel.
// CHECK-LABEL: @moves
// CHECK-NOT: quantize
// CHECK: dlc.pool max %arg0 {{.*}} -> tensor<1x2x4xui8>
// CHECK: dlc.reshape {{.*}} tensor<1x2x4xui8> to tensor<8xui8>
// CHECK: dlc.concat {{.*}} tensor<8xui8>
// CHECK-NOT: quantize
func.func @moves(%x: tensor<1x4x4xui8>, %y: tensor<8xui8>) -> tensor<16xui8> {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<10> : tensor<ui8>
  %0 = dlc.dequantize %x, %s, %z : tensor<1x4x4xui8>, tensor<f32>, tensor<ui8>
  %1 = dlc.pool max %0 kernel = [2] strides = [2] dilations = [1] pads = [0, 0] : tensor<1x4x4xf32> -> tensor<1x2x4xf32>
  %2 = dlc.reshape %1 : tensor<1x2x4xf32> to tensor<8xf32>
  %3 = dlc.dequantize %y, %s, %z : tensor<8xui8>, tensor<f32>, tensor<ui8>
  %4 = dlc.concat %2, %3 axis = 0 : tensor<8xf32>, tensor<8xf32>
  %5 = dlc.quantize %4, %s, %z : tensor<16xf32>, tensor<f32>, tensor<ui8>
  return %5 : tensor<16xui8>
}

// -----

// Parts of other parameters are brought to those of the result one by one;
// a sum of two is computed in float.
// CHECK-LABEL: @parts
// CHECK: %[[Q:.*]] = dlc.quantize
// CHECK: dlc.concat %arg0, %[[Q]] axis = 0 : tensor<8xui8>, tensor<8xui8>
// CHECK: dlc.add
func.func @parts(%x: tensor<8xui8>, %y: tensor<8xui8>) -> (tensor<16xui8>, tensor<8xui8>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %t = dlc.constant dense<0.25> : tensor<f32>
  %z = dlc.constant dense<10> : tensor<ui8>
  %0 = dlc.dequantize %x, %s, %z : tensor<8xui8>, tensor<f32>, tensor<ui8>
  %1 = dlc.dequantize %y, %t, %z : tensor<8xui8>, tensor<f32>, tensor<ui8>
  %2 = dlc.concat %0, %1 axis = 0 : tensor<8xf32>, tensor<8xf32>
  %3 = dlc.quantize %2, %s, %z : tensor<16xf32>, tensor<f32>, tensor<ui8>
  %4 = dlc.add %0, %1 : tensor<8xf32>, tensor<8xf32>
  %5 = dlc.quantize %4, %s, %z : tensor<8xf32>, tensor<f32>, tensor<ui8>
  return %3, %5 : tensor<16xui8>, tensor<8xui8>
}

// -----

// Sums over windows and axes are sums of integers; their division is a part of
// the scale.
// CHECK-LABEL: @sums
// CHECK: %[[S:.*]] = dlc.conv %arg0, %{{.*}} zeros {{.*}} pads = [1, 1] group = 4 : tensor<1x4x4xui8>, tensor<3x1x4xi8> -> tensor<1x4x4xi32>
// CHECK: dlc.requantize %[[S]]
// CHECK: %[[I:.*]] = dlc.cast %arg0 : tensor<1x4x4xui8> to tensor<1x4x4xi32>
// CHECK: %[[D:.*]] = dlc.sub %[[I]]
// CHECK: %[[T:.*]] = dlc.reduce sum %[[D]] axes = [1] : tensor<1x4x4xi32>
// CHECK: dlc.requantize %[[T]]
// CHECK-NOT: dlc.div %{{.*}} : tensor<1x
func.func @sums(%x: tensor<1x4x4xui8>) -> (tensor<1x4x4xui8>, tensor<1x1x4xui8>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<10> : tensor<ui8>
  %n = dlc.constant dense<[[[2.0], [3.0], [3.0], [2.0]]]> : tensor<1x4x1xf32>
  %four = dlc.constant dense<4.0> : tensor<f32>
  %0 = dlc.dequantize %x, %s, %z : tensor<1x4x4xui8>, tensor<f32>, tensor<ui8>
  %1 = dlc.pool sum %0 kernel = [3] strides = [1] dilations = [1] pads = [1, 1] : tensor<1x4x4xf32> -> tensor<1x4x4xf32>
  %2 = dlc.div %1, %n : tensor<1x4x4xf32>, tensor<1x4x1xf32>
  %3 = dlc.quantize %2, %s, %z : tensor<1x4x4xf32>, tensor<f32>, tensor<ui8>
  %4 = dlc.reduce sum %0 axes = [1] : tensor<1x4x4xf32>
  %5 = dlc.div %4, %four : tensor<1x1x4xf32>, tensor<f32>
  %6 = dlc.quantize %5, %s, %z : tensor<1x1x4xf32>, tensor<f32>, tensor<ui8>
  return %3, %6 : tensor<1x4x4xui8>, tensor<1x1x4xui8>
}

// -----

// The largest number is one of the integers, if there is one; padding with 0
// is padding with the zero point.
// CHECK-LABEL: @chosen
// CHECK: dlc.reduce max %arg0 axes = [0] : tensor<4x?xui8>
// CHECK: dlc.reduce max %{{.*}} axes = [1] : tensor<4x?xf32>
// CHECK: dlc.pad constant %arg0, %[[Z:.*]] low [0, 1] high [0, 1] : tensor<4x?xui8>, tensor<ui8>
// CHECK: dlc.pad constant %{{.*}} : tensor<4x?xf32>, tensor<f32>
func.func @chosen(%x: tensor<4x?xui8>) -> (tensor<1x?xf32>, tensor<4x1xf32>, tensor<4x?xf32>, tensor<4x?xf32>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<10> : tensor<ui8>
  %zero = dlc.constant dense<0.0> : tensor<f32>
  %one = dlc.constant dense<1.0> : tensor<f32>
  %0 = dlc.dequantize %x, %s, %z : tensor<4x?xui8>, tensor<f32>, tensor<ui8>
  %1 = dlc.reduce max %0 axes = [0] : tensor<4x?xf32>
  %2 = dlc.reduce max %0 axes = [1] : tensor<4x?xf32>
  %3 = dlc.pad constant %0, %zero low [0, 1] high [0, 1] : tensor<4x?xf32>, tensor<f32> to tensor<4x?xf32>
  %4 = dlc.pad constant %0, %one low [0, 1] high [0, 1] : tensor<4x?xf32>, tensor<f32> to tensor<4x?xf32>
  return %1, %2, %3, %4 : tensor<1x?xf32>, tensor<4x1xf32>, tensor<4x?xf32>, tensor<4x?xf32>
}

// -----

// A loop that only moves elements moves integers; one that adds them does not.
// CHECK-LABEL: @moved
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<8xi8>)
// CHECK: dlc.dequantize
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<8xf32>)
func.func @moved(%x: tensor<4xui8>) -> (tensor<8xf32>, tensor<8xf32>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<10> : tensor<ui8>
  %c2 = arith.constant 2 : index
  %0 = dlc.dequantize %x, %s, %z : tensor<4xui8>, tensor<f32>, tensor<ui8>
  %1 = tensor.empty() : tensor<8xf32>
  %2 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%1 : tensor<8xf32>) {
  ^bb0(%out: f32):
    %i = linalg.index 0 : index
    %j = arith.divsi %i, %c2 : index
    %v = tensor.extract %0[%j] : tensor<4xf32>
    linalg.yield %v : f32
  } -> tensor<8xf32>
  %3 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%1 : tensor<8xf32>) {
  ^bb0(%out: f32):
    %i = linalg.index 0 : index
    %j = arith.divsi %i, %c2 : index
    %v = tensor.extract %0[%j] : tensor<4xf32>
    %w = arith.addf %v, %v : f32
    linalg.yield %w : f32
  } -> tensor<8xf32>
  return %2, %3 : tensor<8xf32>, tensor<8xf32>
}
