// RUN: dlc-opt %s --dlc-split-sums | FileCheck %s
// RUN: dlc-opt %s --dlc-split-sums=most-parts=2 | FileCheck %s --check-prefix=TWO
// RUN: dlc-opt %s --dlc-split-sums=blocks=4 | FileCheck %s --check-prefix=FEW

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#e = affine_map<(m, n, k) -> (n)>
#c = affine_map<(m, n, k) -> (m, n)>

// Four tiles, and each part has 128 terms at least. The epilogue comes last.
// CHECK-DAG: #[[A:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d3, d2)>
// CHECK-DAG: #[[B:.*]] = affine_map<(d0, d1, d2, d3) -> (d3, d2, d1)>
// CHECK-DAG: #[[C:.*]] = affine_map<(d0, d1, d2, d3) -> (d3, d0, d1)>
// CHECK-DAG: #[[FIRST:.*]] = affine_map<(d0, d1) -> (0, d0, d1)>
// CHECK-DAG: #[[LAST:.*]] = affine_map<(d0, d1) -> (7, d0, d1)>
// CHECK-LABEL: @product
// CHECK: %[[X:.*]] = tensor.expand_shape %{{.*}} {{\[\[}}0], [1, 2]] {{.*}} : tensor<64x1024xf32> into tensor<64x8x128xf32>
// CHECK: %[[Y:.*]] = tensor.expand_shape %{{.*}} {{\[\[}}0, 1], [2]] {{.*}} : tensor<1024x256xf32> into tensor<8x128x256xf32>
// CHECK: %[[S:.*]] = dlc.contract %[[X]], %[[Y]] outs %{{.*}} [#[[A]], #[[B]], #[[C]]]
// CHECK-SAME: {precision = 2 : i32}
// CHECK-NEXT: ^bb0(%[[SUM:.*]]: f32):
// CHECK-NEXT:   dlc.yield %[[SUM]]
// CHECK: linalg.generic {indexing_maps = [#[[FIRST]], {{.*}}, #[[LAST]], {{.*}}], iterator_types = ["parallel", "parallel"]}
// CHECK-COUNT-8: arith.addf
// CHECK: arith.maximumf
// TWO-LABEL: @product
// TWO: dlc.contract {{.*}} : tensor<64x2x512xf32>
// FEW-LABEL: @product
// FEW-NOT: expand_shape
// FEW: return
func.func @product(%x: tensor<64x1024xf32>, %w: tensor<1024x256xf32>, %bias: tensor<256xf32>) -> tensor<64x256xf32> {
  %e = tensor.empty() : tensor<64x256xf32>
  %r = dlc.contract %x, %w extras %bias : tensor<256xf32> outs %e [#a, #b, #e, #c] {precision = 2 : i32} : tensor<64x1024xf32>, tensor<1024x256xf32>, tensor<64x256xf32> -> tensor<64x256xf32> {
  ^bb0(%s: f32, %t: f32):
    %zero = arith.constant 0.0 : f32
    %0 = arith.addf %s, %t : f32
    %1 = arith.maximumf %0, %zero : f32
    dlc.yield %1 : f32
  }
  return %r : tensor<64x256xf32>
}

// The channels of a convolution; integers are added as integers.
// CHECK-LABEL: @convolution
// CHECK: dlc.contract {{.*}} : tensor<1x9x9x16x32xi8>, tensor<3x3x16x32x64xi8>, tensor<16x1x7x7x64xi32>
// CHECK-COUNT-15: arith.addi
func.func @convolution(%x: tensor<1x9x9x512xi8>, %w: tensor<3x3x512x64xi8>) -> tensor<1x7x7x64xi32> {
  %e = tensor.empty() : tensor<1x7x7x64xi32>
  %r = dlc.contract %x, %w outs %e [affine_map<(n, y, x, m, i, j, c) -> (n, y + i, x + j, c)>,
      affine_map<(n, y, x, m, i, j, c) -> (i, j, c, m)>, affine_map<(n, y, x, m, i, j, c) -> (n, y, x, m)>]
      : tensor<1x9x9x512xi8>, tensor<3x3x512x64xi8>, tensor<1x7x7x64xi32> -> tensor<1x7x7x64xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return %r : tensor<1x7x7x64xi32>
}

// Enough tiles, few terms, an odd number of terms, unknown sizes.
// CHECK-LABEL: @whole
// CHECK-NOT: expand_shape
// CHECK: return
func.func @whole(%x: tensor<1024x1024xf32>, %y: tensor<64x192xf32>, %z: tensor<64x1021xf32>, %v: tensor<1021x64xf32>, %d: tensor<?x1024xf32>, %w: tensor<192x1024xf32>) -> (tensor<1024x1024xf32>, tensor<64x1024xf32>, tensor<64x64xf32>, tensor<?x1024xf32>) {
  %e = tensor.empty() : tensor<1024x1024xf32>
  %r = dlc.contract %x, %x outs %e [#a, #b, #c] : tensor<1024x1024xf32>, tensor<1024x1024xf32>, tensor<1024x1024xf32> -> tensor<1024x1024xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %e1 = tensor.empty() : tensor<64x1024xf32>
  %r1 = dlc.contract %y, %w outs %e1 [#a, #b, #c] : tensor<64x192xf32>, tensor<192x1024xf32>, tensor<64x1024xf32> -> tensor<64x1024xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %e2 = tensor.empty() : tensor<64x64xf32>
  %r2 = dlc.contract %z, %v outs %e2 [#a, #b, #c] : tensor<64x1021xf32>, tensor<1021x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %c0 = arith.constant 0 : index
  %n = tensor.dim %d, %c0 : tensor<?x1024xf32>
  %e3 = tensor.empty(%n) : tensor<?x1024xf32>
  %r3 = dlc.contract %d, %x outs %e3 [#a, #b, #c] : tensor<?x1024xf32>, tensor<1024x1024xf32>, tensor<?x1024xf32> -> tensor<?x1024xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %r, %r1, %r2, %r3 : tensor<1024x1024xf32>, tensor<64x1024xf32>, tensor<64x64xf32>, tensor<?x1024xf32>
}
