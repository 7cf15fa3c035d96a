// RUN: dlc-opt --dlc-tabulate-functions --split-input-file %s | FileCheck %s

// Swish: one operand, twice.
// CHECK-LABEL: @swish
// CHECK-DAG: %[[C:.*]] = dlc.constant dense<"0x000102{{.*}}FDFEFF"> : tensor<256xi8>
// CHECK: %[[D:.*]] = dlc.dequantize %[[C]], {{.*}} : tensor<256xi8>
// CHECK: %[[S:.*]] = dlc.sigmoid %[[D]] : tensor<256xf32>
// CHECK: %[[M:.*]] = dlc.mul %[[D]], %[[S]]
// CHECK: %[[T:.*]] = dlc.quantize %[[M]], {{.*}} : tensor<256xf32>
// CHECK: %[[I:.*]] = dlc.cast %arg0 : tensor<?x8xi8> to tensor<?x8xi32>
// CHECK: %[[R:.*]] = dlc.gather %[[T]], %[[I]] axis = 0
// CHECK: return %[[R]]
func.func @swish(%x: tensor<?x8xi8>) -> tensor<?x8xui8> {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<3> : tensor<i8>
  %y = dlc.constant dense<3> : tensor<ui8>
  %0 = dlc.dequantize %x, %s, %z : tensor<?x8xi8>, tensor<f32>, tensor<i8>
  %1 = dlc.sigmoid %0 : tensor<?x8xf32>
  %2 = dlc.mul %0, %1 : tensor<?x8xf32>, tensor<?x8xf32>
  %3 = dlc.quantize %2, %s, %y : tensor<?x8xf32>, tensor<f32>, tensor<ui8>
  return %3 : tensor<?x8xui8>
}

// -----

// A cheap function, two operands, and 16 bits stay.
// CHECK-LABEL: @others
// CHECK-NOT: dlc.gather
func.func @others(%x: tensor<8xui8>, %w: tensor<8xui8>, %v: tensor<8xui16>) -> (tensor<8xui8>, tensor<8xui8>, tensor<8xui16>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<3> : tensor<ui8>
  %u = dlc.constant dense<3> : tensor<ui16>
  %0 = dlc.dequantize %x, %s, %z : tensor<8xui8>, tensor<f32>, tensor<ui8>
  %1 = dlc.abs %0 : tensor<8xf32>
  %2 = dlc.quantize %1, %s, %z : tensor<8xf32>, tensor<f32>, tensor<ui8>
  %3 = dlc.dequantize %w, %s, %z : tensor<8xui8>, tensor<f32>, tensor<ui8>
  %4 = dlc.tanh %3 : tensor<8xf32>
  %5 = dlc.mul %4, %0 : tensor<8xf32>, tensor<8xf32>
  %6 = dlc.quantize %5, %s, %z : tensor<8xf32>, tensor<f32>, tensor<ui8>
  %7 = dlc.dequantize %v, %s, %u : tensor<8xui16>, tensor<f32>, tensor<ui16>
  %8 = dlc.tanh %7 : tensor<8xf32>
  %9 = dlc.quantize %8, %s, %u : tensor<8xf32>, tensor<f32>, tensor<ui16>
  return %2, %6, %9 : tensor<8xui8>, tensor<8xui8>, tensor<8xui16>
}

// -----

// A chain of pairs is one function of its first bytes, with numbers of any
// rank; two steps are faster than a table.
// CHECK-LABEL: @chain
// CHECK-NOT: dlc.quantize %{{.*}} : tensor<1x8xf32>
// CHECK-COUNT-2: dlc.quantize %{{.*}} : tensor<256xf32>
// CHECK: %[[T:.*]] = dlc.quantize %{{.*}} : tensor<256xf32>
// CHECK-NEXT: %[[I:.*]] = dlc.cast %arg0
// CHECK-NEXT: %[[R:.*]] = dlc.gather %[[T]], %[[I]] axis = 0
// CHECK: %[[Q:.*]] = dlc.quantize %{{.*}} : tensor<1x8xf32>
// CHECK-NOT: dlc.quantize
// CHECK: return %[[R]], %[[Q]]
func.func @chain(%x: tensor<1x8xui8>, %w: tensor<1x8xui8>) -> (tensor<1x8xui8>, tensor<1x8xui8>) {
  %s = dlc.constant dense<0.5> : tensor<f32>
  %z = dlc.constant dense<3> : tensor<ui8>
  %c = dlc.constant dense<0.3> : tensor<1xf32>
  %0 = dlc.dequantize %x, %s, %z : tensor<1x8xui8>, tensor<f32>, tensor<ui8>
  %1 = dlc.mul %0, %c : tensor<1x8xf32>, tensor<1xf32>
  %2 = dlc.quantize %1, %s, %z : tensor<1x8xf32>, tensor<f32>, tensor<ui8>
  %3 = dlc.dequantize %2, %s, %z : tensor<1x8xui8>, tensor<f32>, tensor<ui8>
  %4 = dlc.add %3, %c : tensor<1x8xf32>, tensor<1xf32>
  %5 = dlc.quantize %4, %s, %z : tensor<1x8xf32>, tensor<f32>, tensor<ui8>
  %6 = dlc.dequantize %5, %s, %z : tensor<1x8xui8>, tensor<f32>, tensor<ui8>
  %7 = dlc.mul %3, %6 : tensor<1x8xf32>, tensor<1x8xf32>
  %8 = dlc.quantize %7, %s, %z : tensor<1x8xf32>, tensor<f32>, tensor<ui8>
  %9 = dlc.dequantize %w, %s, %z : tensor<1x8xui8>, tensor<f32>, tensor<ui8>
  %10 = dlc.mul %9, %c : tensor<1x8xf32>, tensor<1xf32>
  %11 = dlc.quantize %10, %s, %z : tensor<1x8xf32>, tensor<f32>, tensor<ui8>
  return %8, %11 : tensor<1x8xui8>, tensor<1x8xui8>
}
