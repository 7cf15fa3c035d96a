// RUN: dlc-opt %s --dlc-group-heads --canonicalize --split-input-file | FileCheck %s

// Keys and values are read by all heads of a group, and the scores stay in
// groups, also those that a mask is added to.

// CHECK-LABEL: func @attention
// CHECK-SAME: %[[Q:.*]]: tensor<1x8x5x4xf32>, %[[K:.*]]: tensor<1x2x?x4xf32>, %[[V:.*]]: tensor<1x2x?x4xf32>, %{{.*}}: tensor<3x1x5x?xf32>, %[[H:.*]]: tensor<8x1x1xf32>
// CHECK-NOT: dlc.broadcast
// CHECK: %[[KEYS:.*]] = dlc.reshape %[[K]][%{{.*}}] : tensor<1x2x?x4xf32> to tensor<1x2x1x?x4xf32>
// CHECK: %[[GROUPS:.*]] = dlc.reshape %[[Q]] : tensor<1x8x5x4xf32> to tensor<1x2x4x5x4xf32>
// CHECK: %[[SCALED:.*]] = dlc.mul %[[KEYS]], %{{.*}} : tensor<1x2x1x?x4xf32>, tensor<1xf32>
// CHECK: %[[T:.*]] = dlc.transpose %[[SCALED]] [0, 1, 2, 4, 3]
// CHECK: %[[S:.*]] = dlc.matmul %[[GROUPS]], %[[T]] : {{.*}} -> tensor<1x2x4x5x?xf32>
// CHECK: %[[BIAS:.*]] = dlc.reshape %[[H]] : tensor<8x1x1xf32> to tensor<2x4x1x1xf32>
// CHECK: %[[SUM:.*]] = dlc.add %[[S]], %[[BIAS]]
// CHECK: %[[P:.*]] = dlc.softmax %[[SUM]] axis = 4
// CHECK: %[[Y:.*]] = dlc.matmul %[[P]], %{{.*}} : tensor<1x2x4x5x?xf32>, tensor<1x2x1x?x4xf32> -> tensor<1x2x4x5x4xf32>
// CHECK: dlc.reshape %[[Y]] : tensor<1x2x4x5x4xf32> to tensor<1x8x5x4xf32>
func.func @attention(%q: tensor<1x8x5x4xf32>, %k: tensor<1x2x?x4xf32>, %v: tensor<1x2x?x4xf32>, %m: tensor<3x1x5x?xf32>, %h: tensor<8x1x1xf32>) -> tensor<1x8x5x4xf32> {
  %c2 = arith.constant 2 : index
  %factor = dlc.constant dense<0.5> : tensor<1xf32>
  %n = tensor.dim %k, %c2 : tensor<1x2x?x4xf32>
  %vn = tensor.dim %v, %c2 : tensor<1x2x?x4xf32>
  %k5 = dlc.reshape %k[%n] : tensor<1x2x?x4xf32> to tensor<1x2x1x?x4xf32>
  %ke = dlc.broadcast %k5[%n] : tensor<1x2x1x?x4xf32> to tensor<1x2x4x?x4xf32>
  %kr = dlc.reshape %ke[%n] : tensor<1x2x4x?x4xf32> to tensor<1x8x?x4xf32>
  %ks = dlc.mul %kr, %factor : tensor<1x8x?x4xf32>, tensor<1xf32>
  %kt = dlc.transpose %ks [0, 1, 3, 2] : tensor<1x8x?x4xf32>
  %s = dlc.matmul %q, %kt : tensor<1x8x5x4xf32>, tensor<1x8x4x?xf32> -> tensor<1x8x5x?xf32>
  %b = dlc.add %s, %h : tensor<1x8x5x?xf32>, tensor<8x1x1xf32>
  %p = dlc.softmax %b axis = 3 : tensor<1x8x5x?xf32>
  %v5 = dlc.reshape %v[%vn] : tensor<1x2x?x4xf32> to tensor<1x2x1x?x4xf32>
  %ve = dlc.broadcast %v5[%vn] : tensor<1x2x1x?x4xf32> to tensor<1x2x4x?x4xf32>
  %vr = dlc.reshape %ve[%vn] : tensor<1x2x4x?x4xf32> to tensor<1x8x?x4xf32>
  %y = dlc.matmul %p, %vr : tensor<1x8x5x?xf32>, tensor<1x8x?x4xf32> -> tensor<1x8x5x4xf32>
  return %y : tensor<1x8x5x4xf32>
}

// -----

// Each head of keys once after the other: no groups, but every second head.

// CHECK-LABEL: func @interleaved
// CHECK: dlc.broadcast
// CHECK: dlc.matmul {{.*}} -> tensor<1x8x5x6xf32>
func.func @interleaved(%q: tensor<1x8x5x4xf32>, %k: tensor<1x1x2x4x6xf32>) -> tensor<1x8x5x6xf32> {
  %ke = dlc.broadcast %k : tensor<1x1x2x4x6xf32> to tensor<1x4x2x4x6xf32>
  %kr = dlc.reshape %ke : tensor<1x4x2x4x6xf32> to tensor<1x8x4x6xf32>
  %s = dlc.matmul %q, %kr : tensor<1x8x5x4xf32>, tensor<1x8x4x6xf32> -> tensor<1x8x5x6xf32>
  return %s : tensor<1x8x5x6xf32>
}
