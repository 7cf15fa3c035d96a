// RUN: dlc-opt %s -dlc-lower-to-linalg="bytes=unsigned" -split-input-file | FileCheck %s
// RUN: dlc-opt %s -dlc-lower-to-linalg="bytes=signed" -split-input-file | FileCheck %s --check-prefix=SIGNED
// RUN: not dlc-opt %s -dlc-lower-to-linalg="bytes=some" 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: dlc-lower-to-linalg: expected bytes=any, unsigned, signed or unsigned-or-tiles, found 'some'

// A zero point on the left is a number for each column; weights whose zero
// point is 0 need no more.
// CHECK-LABEL: @left
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} iterator_types = ["{{reduction|parallel}}", "{{reduction|parallel}}"]
// CHECK: %[[TERM:.*]] = linalg.generic {{.*}} ins(%[[SUM]]
// CHECK: arith.muli %{{.*}}, %[[C3:.*]] : i32
// CHECK: dlc.contract %{{.*}}, %arg1 extras %[[TERM]] : tensor<8xi32> outs {{.*}} {aUnsigned}
// CHECK: ^bb0(%[[S:.*]]: i32, %[[T:.*]]: i32):
// CHECK: arith.subi %[[S]], %[[T]]
// SIGNED-LABEL: @left
// SIGNED: dlc.contract {{.*}} {dot = #dlc.dot<flip = true>}
func.func @left(%x: tensor<4x6xui8>, %w: tensor<6x8xi8>) -> tensor<4x8xi32> {
  %xz = dlc.constant dense<3> : tensor<ui8>
  %wz = dlc.constant dense<0> : tensor<8xi8>
  %0 = dlc.matmul %x, %w zeros %xz, %wz : tensor<ui8>, tensor<8xi8> : tensor<4x6xui8>, tensor<6x8xi8> -> tensor<4x8xi32>
  return %0 : tensor<4x8xi32>
}

// -----

// Signed numbers become unsigned as they are loaded, which moves their zero
// point; unsigned weights around 128 are signed ones around 0.
// CHECK-LABEL: @signed
// CHECK: arith.xori %{{.*}}, %c-128_i8
// CHECK: dlc.contract %{{.*}}, {{.*}} extras %{{.*}} : tensor<8xi32> outs {{.*}} {aUnsigned, dot = #dlc.dot<flip = true>}
// CHECK-NEXT: ^bb0(%{{.*}}: i32, %{{.*}}: i32):
// SIGNED-LABEL: @signed
// SIGNED: dlc.contract %{{[^ ]*}}, %{{[^ ]*}} outs
// SIGNED-NOT: flip
// SIGNED: yield %{{.*}} : i32
func.func @signed(%x: tensor<4x6xi8>, %w: tensor<6x8xui8>) -> tensor<4x8xi32> {
  %xz = dlc.constant dense<0> : tensor<i8>
  %wz = dlc.constant dense<128> : tensor<ui8>
  %0 = dlc.matmul %x, %w zeros %xz, %wz : tensor<i8>, tensor<ui8> : tensor<4x6xi8>, tensor<6x8xui8> -> tensor<4x8xi32>
  return %0 : tensor<4x8xi32>
}

// -----

// A zero point on the right takes the sums of the rows, a product with ones.
// CHECK-LABEL: @right
// CHECK: %[[ROWS:.*]] = dlc.contract %{{.*}} tensor<6xi8>, tensor<4xi32>
// CHECK: dlc.contract %{{.*}}, %arg1 extras %[[ROWS]] : tensor<4xi32> outs
// CHECK: ^bb0(%[[S:.*]]: i32, %[[R:.*]]: i32):
// CHECK: %[[P:.*]] = arith.muli %[[R]], %{{.*}} : i32
// CHECK: arith.subi %[[S]], %[[P]]
func.func @right(%x: tensor<4x6xui8>, %w: tensor<6x8xi8>) -> tensor<4x8xi32> {
  %xz = dlc.constant dense<0> : tensor<ui8>
  %wz = dlc.constant dense<5> : tensor<i8>
  %0 = dlc.matmul %x, %w zeros %xz, %wz : tensor<ui8>, tensor<i8> : tensor<4x6xui8>, tensor<6x8xi8> -> tensor<4x8xi32>
  return %0 : tensor<4x8xi32>
}

// -----

// Padding is filled with the zero point, on both sides of the input.
// CHECK-LABEL: @padding
// CHECK: %[[Z:.*]] = tensor.extract %{{.*}}[] : tensor<i8>
// CHECK: %[[L:.*]] = linalg.fill ins(%[[Z]] : i8) outs(%{{.*}} : tensor<1x1x16xi8>)
// CHECK: %[[LOW:.*]] = tensor.insert_slice %[[L]] into %{{.*}}[0, 0, 0]
// CHECK: %[[H:.*]] = linalg.fill ins(%[[Z]] : i8) outs(%{{.*}} : tensor<1x1x16xi8>)
// CHECK: %[[HIGH:.*]] = tensor.insert_slice %[[H]] into %[[LOW]][0, 5, 0]
// CHECK: %[[P:.*]] = tensor.insert_slice %{{.*}} into %[[HIGH]][0, 1, 0]
// CHECK: dlc.contract %[[P]]
func.func @padding(%x: tensor<1x4x16xui8>, %w: tensor<3x16x8xi8>, %xz: tensor<ui8>) -> tensor<1x4x8xi32> {
  %wz = dlc.constant dense<0> : tensor<i8>
  %0 = dlc.conv %x, %w zeros %xz, %wz : tensor<ui8>, tensor<i8> strides = [1] dilations = [1] pads = [1, 1] group = 1 : tensor<1x4x16xui8>, tensor<3x16x8xi8> -> tensor<1x4x8xi32>
  return %0 : tensor<1x4x8xi32>
}
