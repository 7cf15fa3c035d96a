// RUN: dlc-opt %s --dlc-flush-subnormals | FileCheck %s

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
#f = #dlc.winograd<height = 4, width = 4, windowHeight = 1, windowWidth = 1, tiles = 1>

// The smallest normal number, 1.17549435E-38, stays, and so does the sign.
// CHECK-LABEL: func.func @f32
// CHECK:       %[[W:.*]] = arith.constant dense<{{\[\[}}5.000000e-01, 0.000000e+00, 1.17549435E-38], [-0.000000e+00, 0.000000e+00, 1.000000e-30]]> : tensor<2x3xf32>
// CHECK:       dlc.contract %{{.*}}, %[[W]] outs
func.func @f32(%x: tensor<4x2xf32>, %e: tensor<4x3xf32>) -> tensor<4x3xf32> {
  %w = arith.constant dense<[[0.5, 1.0e-40, 1.17549435e-38], [-1.0e-45, 0.0, 1.0e-30]]> : tensor<2x3xf32>
  %r = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x2xf32>, tensor<2x3xf32>, tensor<4x3xf32> -> tensor<4x3xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r : tensor<4x3xf32>
}

// CHECK-LABEL: func.func @f64
// CHECK:       arith.constant dense<{{\[\[}}5.000000e-01, 9.9999999999999992E-41, 0.000000e+00]]> : tensor<1x3xf64>
func.func @f64(%x: tensor<4x1xf64>, %e: tensor<4x3xf64>) -> tensor<4x3xf64> {
  %w = arith.constant dense<[[0.5, 1.0e-40, 1.0e-310]]> : tensor<1x3xf64>
  %r = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x1xf64>, tensor<1x3xf64>, tensor<4x3xf64> -> tensor<4x3xf64> {
  ^bb0(%sum: f64):
    dlc.yield %sum : f64
  }
  return %r : tensor<4x3xf64>
}

// Those of bf16 are such of f32; those of f16 are not.
// CHECK-LABEL: func.func @narrow
// CHECK-DAG:   arith.constant dense<{{\[\[}}5.000000e-01, 0.000000e+00]]> : tensor<1x2xbf16>
// CHECK-DAG:   arith.constant dense<{{\[\[}}5.000000e-01, 5.960460e-08]]> : tensor<1x2xf16>
func.func @narrow(%x: tensor<4x1xbf16>, %y: tensor<4x1xf16>, %e: tensor<4x2xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %w = arith.constant dense<[[0.5, 9.2e-41]]> : tensor<1x2xbf16>
  %v = arith.constant dense<[[0.5, 5.96e-8]]> : tensor<1x2xf16>
  %r = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x1xbf16>, tensor<1x2xbf16>, tensor<4x2xf32> -> tensor<4x2xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  %s = dlc.contract %y, %v outs %e [#a, #b, #c] : tensor<4x1xf16>, tensor<1x2xf16>, tensor<4x2xf32> -> tensor<4x2xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r, %s : tensor<4x2xf32>, tensor<4x2xf32>
}

// Without a larger one they are all there is.
// CHECK-LABEL: func.func @alone
// CHECK:       arith.constant dense<{{\[\[}}9.999940e-41, 1.000000e-30]]> : tensor<1x2xf32>
func.func @alone(%x: tensor<4x1xf32>, %e: tensor<4x2xf32>) -> tensor<4x2xf32> {
  %w = arith.constant dense<[[1.0e-40, 1.0e-30]]> : tensor<1x2xf32>
  %r = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x1xf32>, tensor<1x2xf32>, tensor<4x2xf32> -> tensor<4x2xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r : tensor<4x2xf32>
}

// Others get the numbers as they are.
// CHECK-LABEL: func.func @shared
// CHECK-DAG:   %[[Z:.*]] = arith.constant dense<{{\[\[}}5.000000e-01, 0.000000e+00]]> : tensor<1x2xf32>
// CHECK-DAG:   %[[W:.*]] = arith.constant dense<{{\[\[}}5.000000e-01, 9.999940e-41]]> : tensor<1x2xf32>
// CHECK:       %[[R:.*]] = dlc.contract %{{.*}}, %[[Z]] outs
// CHECK:       return %[[R]], %[[W]]
func.func @shared(%x: tensor<4x1xf32>, %e: tensor<4x2xf32>) -> (tensor<4x2xf32>, tensor<1x2xf32>) {
  %w = arith.constant dense<[[0.5, 1.0e-40]]> : tensor<1x2xf32>
  %r = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x1xf32>, tensor<1x2xf32>, tensor<4x2xf32> -> tensor<4x2xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  return %r, %w : tensor<4x2xf32>, tensor<1x2xf32>
}

// CHECK-LABEL: func.func @winograd
// CHECK:       %[[W:.*]] = arith.constant dense<{{\[\[\[\[}}2.000000e+00, 0.000000e+00]]]]> : tensor<1x1x1x2xf32>
// CHECK:       dlc.winograd_weights %[[W]] outs
func.func @winograd(%e: tensor<4x4x1x2xf32>) -> tensor<4x4x1x2xf32> {
  %w = arith.constant dense<[[[[2.0, 1.0e-40]]]]> : tensor<1x1x1x2xf32>
  %u = dlc.winograd_weights %w outs %e [0, 1] #f
      : tensor<1x1x1x2xf32>, tensor<4x4x1x2xf32> -> tensor<4x4x1x2xf32>
  return %u : tensor<4x4x1x2xf32>
}
