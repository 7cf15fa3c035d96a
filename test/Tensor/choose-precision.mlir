// RUN: dlc-opt %s --dlc-choose-precision=precision=bf16 | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: dlc-opt %s --dlc-choose-precision=precision=tf32 | FileCheck %s --check-prefixes=CHECK,TF32
// RUN: dlc-opt %s --dlc-choose-precision | FileCheck %s --check-prefix=EXACT
// RUN: not dlc-opt %s --dlc-choose-precision=precision=fp8 2>&1 | FileCheck %s --check-prefix=WRONG

// WRONG: expected the precision fp32, tf32, bf16 or fp16, found 'fp8'
// EXACT-NOT: precision

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>

// A constant is rounded at compile time; tf32 has no type in memory, and NaN
// stays NaN.
// CHECK-LABEL: @constant
// BF16: %[[W:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<8x16xf32>) outs(%{{.*}} : tensor<8x16xbf16>)
// BF16:   arith.truncf
// BF16: dlc.contract %{{.*}}, %[[W]] {{.*}} {precision = 1 : i32} : tensor<4x8xf32>, tensor<8x16xbf16>
// TF32: %[[W:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<8x16xf32>) outs(%{{.*}} : tensor<8x16xf32>)
// TF32:   arith.addi %{{.*}}, %c4096_i32
// TF32:   arith.andi %{{.*}}, %c-8192_i32
// TF32:   arith.cmpf uno
// TF32:   arith.select
// TF32: dlc.contract %{{.*}}, %[[W]] {{.*}} {precision = 0 : i32} : tensor<4x8xf32>, tensor<8x16xf32>
func.func @constant(%x: tensor<4x8xf32>) -> tensor<4x16xf32> {
  %w = arith.constant dense<1.5> : tensor<8x16xf32>
  %e = tensor.empty() : tensor<4x16xf32>
  %r = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %r : tensor<4x16xf32>
}

// CHECK-LABEL: @given
// CHECK-NOT: linalg.generic
// CHECK: dlc.contract %{{.*}} {precision = {{.*}}} : tensor<4x8xf32>, tensor<8x16xf32>
func.func @given(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
  %e = tensor.empty() : tensor<4x16xf32>
  %r = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf32>, tensor<8x16xf32>, tensor<4x16xf32> -> tensor<4x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %r : tensor<4x16xf32>
}

// Other types stay as they are.
// CHECK-LABEL: @doubles
// CHECK-NOT: precision
func.func @doubles(%x: tensor<4x8xf64>, %w: tensor<8x16xf64>) -> tensor<4x16xf64> {
  %e = tensor.empty() : tensor<4x16xf64>
  %r = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<4x8xf64>, tensor<8x16xf64>, tensor<4x16xf64> -> tensor<4x16xf64> {
  ^bb0(%s: f64):
    dlc.yield %s : f64
  }
  return %r : tensor<4x16xf64>
}
