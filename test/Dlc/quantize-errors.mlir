// RUN: dlc-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<4xf16>, %s: tensor<f32>, %z: tensor<ui8>) {
  // expected-error @below {{'dlc.quantize' op expected an operand of f32, found 'f16'}}
  %0 = dlc.quantize %x, %s, %z : tensor<4xf16>, tensor<f32>, tensor<ui8>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %s: tensor<f32>, %z: tensor<i32>) {
  // expected-error @below {{expected a zero point of an integer type of at most 16 bits, found 'i32'}}
  %0 = dlc.quantize %x, %s, %z : tensor<4xf32>, tensor<f32>, tensor<i32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %s: tensor<f64>, %z: tensor<ui8>) {
  // expected-error @below {{expected a scale of f32, found 'f64'}}
  %0 = dlc.quantize %x, %s, %z : tensor<4xf32>, tensor<f64>, tensor<ui8>
  return
}

// -----

func.func @f(%x: tensor<4xi16>, %s: tensor<f32>, %z: tensor<ui8>) {
  // expected-error @below {{'dlc.requantize' op expected sums of i32, found 'i16'}}
  %0 = dlc.requantize %x, %s, %z : tensor<4xi16>, tensor<f32>, tensor<ui8>
  return
}

// -----

func.func @f(%x: tensor<4xui8>, %s: tensor<f32>, %z: tensor<i8>) {
  // expected-error @below {{'dlc.dequantize' op expected integers and a zero point of one type, found 'ui8' and 'i8'}}
  %0 = dlc.dequantize %x, %s, %z : tensor<4xui8>, tensor<f32>, tensor<i8>
  return
}

// -----

func.func @f(%x: tensor<4x8xui8>, %w: tensor<8x8xi8>, %z: tensor<ui8>) {
  // expected-error @below {{'dlc.matmul' op expected two zero points or none, found 1}}
  %0 = dlc.matmul %x, %w zeros %z : tensor<ui8> : tensor<4x8xui8>, tensor<8x8xi8> -> tensor<4x8xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xui8>, %w: tensor<8x8xi8>, %z: tensor<ui8>) {
  // expected-error @below {{expected 8-bit zero points of the operands' type, found 'ui8' for 'i8'}}
  %0 = dlc.matmul %x, %w zeros %z, %z : tensor<ui8>, tensor<ui8> : tensor<4x8xui8>, tensor<8x8xi8> -> tensor<4x8xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xui8>, %w: tensor<8x8xi8>, %z: tensor<4xui8>, %wz: tensor<i8>) {
  // expected-error @below {{expected a zero point of rank 0, found 'tensor<4xui8>'}}
  %0 = dlc.matmul %x, %w zeros %z, %wz : tensor<4xui8>, tensor<i8> : tensor<4x8xui8>, tensor<8x8xi8> -> tensor<4x8xi32>
  return
}

// -----

func.func @f(%x: tensor<1x4x8xui8>, %w: tensor<3x8x8xi8>, %z: tensor<ui8>, %wz: tensor<3xi8>) {
  // expected-error @below {{'dlc.conv' op expected a zero point of rank 0 or one for each column, found 'tensor<3xi8>'}}
  %0 = dlc.conv %x, %w zeros %z, %wz : tensor<ui8>, tensor<3xi8> strides = [1] dilations = [1] pads = [1, 1] group = 1 : tensor<1x4x8xui8>, tensor<3x8x8xi8> -> tensor<1x4x8xi32>
  return
}
