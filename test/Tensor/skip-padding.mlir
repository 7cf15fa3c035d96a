// RUN: dlc-opt %s --dlc-skip-padding --canonicalize --split-input-file | FileCheck %s

#x = affine_map<(n, y, x, c, i, j) -> (n, y + i, x + j, c)>
#w = affine_map<(n, y, x, c, i, j) -> (i, j, c)>
#y = affine_map<(n, y, x, c, i, j) -> (n, y, x, c)>

// Lines and columns of zeros on both sides.
// CHECK: #[[MAP:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1 + d4 - 2, d2 + d5 - 1, d3)>
// CHECK-LABEL: func.func @both
// CHECK-SAME:  (%[[X:[a-z0-9]+]]: tensor<1x2x80x16xf32>
// CHECK-NOT:   tensor.insert_slice
// CHECK:       dlc.contract %[[X]], %{{.*}} outs %{{.*}} [#[[MAP]], #{{.*}}, #{{.*}}] {zeroOutside = array<i64: 1, 2>}
func.func @both(%x: tensor<1x2x80x16xf32>, %w: tensor<5x3x16xf32>, %e: tensor<1x2x80x16xf32>) -> tensor<1x2x80x16xf32> {
  %zero = arith.constant 0.0 : f32
  %all = tensor.empty() : tensor<1x6x82x16xf32>
  %l0 = tensor.empty() : tensor<1x2x82x16xf32>
  %l = linalg.fill ins(%zero : f32) outs(%l0 : tensor<1x2x82x16xf32>) -> tensor<1x2x82x16xf32>
  %c0 = tensor.empty() : tensor<1x2x1x16xf32>
  %c = linalg.fill ins(%zero : f32) outs(%c0 : tensor<1x2x1x16xf32>) -> tensor<1x2x1x16xf32>
  %0 = tensor.insert_slice %l into %all[0, 0, 0, 0] [1, 2, 82, 16] [1, 1, 1, 1] : tensor<1x2x82x16xf32> into tensor<1x6x82x16xf32>
  %1 = tensor.insert_slice %l into %0[0, 4, 0, 0] [1, 2, 82, 16] [1, 1, 1, 1] : tensor<1x2x82x16xf32> into tensor<1x6x82x16xf32>
  %2 = tensor.insert_slice %c into %1[0, 2, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1] : tensor<1x2x1x16xf32> into tensor<1x6x82x16xf32>
  %3 = tensor.insert_slice %c into %2[0, 2, 81, 0] [1, 2, 1, 16] [1, 1, 1, 1] : tensor<1x2x1x16xf32> into tensor<1x6x82x16xf32>
  %p = tensor.insert_slice %x into %3[0, 2, 1, 0] [1, 2, 80, 16] [1, 1, 1, 1] : tensor<1x2x80x16xf32> into tensor<1x6x82x16xf32>
  %r = dlc.contract %p, %w outs %e [#x, #w, #y]
      : tensor<1x6x82x16xf32>, tensor<5x3x16xf32>, tensor<1x2x80x16xf32> -> tensor<1x2x80x16xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r : tensor<1x2x80x16xf32>
}

// -----

#x = affine_map<(n, y, x, c, i, j) -> (n, y + i, x + j, c)>
#w = affine_map<(n, y, x, c, i, j) -> (i, j, c)>
#y = affine_map<(n, y, x, c, i, j) -> (n, y, x, c)>

// Lines of unknown length keep the zeros at their ends.
// CHECK: #[[MAP:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1 + d4, d2 + d5, d3)>
// CHECK-LABEL: func.func @dynamic
// CHECK-SAME:  (%[[X:[a-z0-9]+]]: tensor<1x?x?x16xf32>
// CHECK:       %[[H:.*]] = tensor.dim %[[X]], %c1
// CHECK:       %[[E:.*]] = tensor.empty(%[[H]], %{{.*}}) : tensor<1x?x?x16xf32>
// CHECK:       %[[P:.*]] = tensor.insert_slice %[[X]] into %{{.*}}[0, 0, 1, 0]
// CHECK:       dlc.contract %[[P]], %{{.*}} outs %{{.*}} [#[[MAP]], #{{.*}}, #{{.*}}] {zeroOutside = array<i64: 1>}
func.func @dynamic(%x: tensor<1x?x?x16xf32>, %w: tensor<3x3x16xf32>, %e: tensor<1x?x?x16xf32>,
                   %h: index, %v: index) -> tensor<1x?x?x16xf32> {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %xh = tensor.dim %x, %c1 : tensor<1x?x?x16xf32>
  %xw = tensor.dim %x, %c2 : tensor<1x?x?x16xf32>
  %all = tensor.empty(%h, %v) : tensor<1x?x?x16xf32>
  %l0 = tensor.empty(%v) : tensor<1x1x?x16xf32>
  %l = linalg.fill ins(%zero : f32) outs(%l0 : tensor<1x1x?x16xf32>) -> tensor<1x1x?x16xf32>
  %c0 = tensor.empty(%xh) : tensor<1x?x1x16xf32>
  %c = linalg.fill ins(%zero : f32) outs(%c0 : tensor<1x?x1x16xf32>) -> tensor<1x?x1x16xf32>
  %0 = tensor.insert_slice %l into %all[0, 0, 0, 0] [1, 1, %v, 16] [1, 1, 1, 1] : tensor<1x1x?x16xf32> into tensor<1x?x?x16xf32>
  %1 = tensor.insert_slice %c into %0[0, 0, 0, 0] [1, %xh, 1, 16] [1, 1, 1, 1] : tensor<1x?x1x16xf32> into tensor<1x?x?x16xf32>
  %p = tensor.insert_slice %x into %1[0, 0, 1, 0] [1, %xh, %xw, 16] [1, 1, 1, 1] : tensor<1x?x?x16xf32> into tensor<1x?x?x16xf32>
  %r = dlc.contract %p, %w outs %e [#x, #w, #y]
      : tensor<1x?x?x16xf32>, tensor<3x3x16xf32>, tensor<1x?x?x16xf32> -> tensor<1x?x?x16xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r : tensor<1x?x?x16xf32>
}

// -----

#x = affine_map<(n, y, x, c, i) -> (n, y, x + i, c)>
#w = affine_map<(n, y, x, c, i) -> (i, c)>
#y = affine_map<(n, y, x, c, i) -> (n, y, x, c)>

// A line, seen as a map of one line.
// CHECK: #[[MAP:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2 + d4 - 2, d3)>
// CHECK-LABEL: func.func @line
// CHECK-SAME:  (%[[X:[a-z0-9]+]]: tensor<1x9x16xf32>
// CHECK:       %[[M:.*]] = tensor.expand_shape %[[X]] {{.*}} into tensor<1x1x9x16xf32>
// CHECK:       dlc.contract %[[M]], %{{.*}} outs %{{.*}} [#[[MAP]], #{{.*}}, #{{.*}}] {zeroOutside = array<i64: 2>}

// Not zero, and not channel by channel.
// CHECK-LABEL: func.func @ones
// CHECK:       tensor.insert_slice
// CHECK-NOT:   zeroOutside
func.func @line(%x: tensor<1x9x16xf32>, %w: tensor<3x16xf32>, %e: tensor<1x1x9x16xf32>) -> tensor<1x1x9x16xf32> {
  %zero = arith.constant 0.0 : f32
  %all = tensor.empty() : tensor<1x11x16xf32>
  %c0 = tensor.empty() : tensor<1x2x16xf32>
  %c = linalg.fill ins(%zero : f32) outs(%c0 : tensor<1x2x16xf32>) -> tensor<1x2x16xf32>
  %0 = tensor.insert_slice %c into %all[0, 0, 0] [1, 2, 16] [1, 1, 1] : tensor<1x2x16xf32> into tensor<1x11x16xf32>
  %p = tensor.insert_slice %x into %0[0, 2, 0] [1, 9, 16] [1, 1, 1] : tensor<1x9x16xf32> into tensor<1x11x16xf32>
  %m = tensor.expand_shape %p [[0, 1], [2], [3]] output_shape [1, 1, 11, 16] : tensor<1x11x16xf32> into tensor<1x1x11x16xf32>
  %r = dlc.contract %m, %w outs %e [#x, #w, #y]
      : tensor<1x1x11x16xf32>, tensor<3x16xf32>, tensor<1x1x9x16xf32> -> tensor<1x1x9x16xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r : tensor<1x1x9x16xf32>
}
func.func @ones(%x: tensor<1x1x9x16xf32>, %w: tensor<3x16xf32>, %e: tensor<1x1x9x16xf32>) -> tensor<1x1x9x16xf32> {
  %one = arith.constant 1.0 : f32
  %all = tensor.empty() : tensor<1x1x11x16xf32>
  %c0 = tensor.empty() : tensor<1x1x2x16xf32>
  %c = linalg.fill ins(%one : f32) outs(%c0 : tensor<1x1x2x16xf32>) -> tensor<1x1x2x16xf32>
  %0 = tensor.insert_slice %c into %all[0, 0, 0, 0] [1, 1, 2, 16] [1, 1, 1, 1] : tensor<1x1x2x16xf32> into tensor<1x1x11x16xf32>
  %p = tensor.insert_slice %x into %0[0, 0, 2, 0] [1, 1, 9, 16] [1, 1, 1, 1] : tensor<1x1x9x16xf32> into tensor<1x1x11x16xf32>
  %r = dlc.contract %p, %w outs %e [#x, #w, #y]
      : tensor<1x1x11x16xf32>, tensor<3x16xf32>, tensor<1x1x9x16xf32> -> tensor<1x1x9x16xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r : tensor<1x1x9x16xf32>
}

// -----

// CHECK-LABEL: func.func @all_channels
// CHECK:       tensor.insert_slice
// CHECK-NOT:   zeroOutside
func.func @all_channels(%x: tensor<1x9x16xf32>, %w: tensor<3x16x8xf32>, %e: tensor<1x9x8xf32>) -> tensor<1x9x8xf32> {
  %zero = arith.constant 0.0 : f32
  %all = tensor.empty() : tensor<1x11x16xf32>
  %c0 = tensor.empty() : tensor<1x2x16xf32>
  %c = linalg.fill ins(%zero : f32) outs(%c0 : tensor<1x2x16xf32>) -> tensor<1x2x16xf32>
  %0 = tensor.insert_slice %c into %all[0, 0, 0] [1, 2, 16] [1, 1, 1] : tensor<1x2x16xf32> into tensor<1x11x16xf32>
  %p = tensor.insert_slice %x into %0[0, 2, 0] [1, 9, 16] [1, 1, 1] : tensor<1x9x16xf32> into tensor<1x11x16xf32>
  %r = dlc.contract %p, %w outs %e
      [affine_map<(n, x, m, i, c) -> (n, x + i, c)>, affine_map<(n, x, m, i, c) -> (i, c, m)>,
       affine_map<(n, x, m, i, c) -> (n, x, m)>]
      : tensor<1x11x16xf32>, tensor<3x16x8xf32>, tensor<1x9x8xf32> -> tensor<1x9x8xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r : tensor<1x9x8xf32>
}
