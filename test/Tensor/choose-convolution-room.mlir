// RUN: dlc-opt %s -dlc-choose-convolution="lanes=16" -split-input-file | FileCheck %s
// RUN: dlc-opt %s -dlc-choose-convolution="lanes=16 scratch=-1" -split-input-file | FileCheck %s --check-prefix=ANY

#a = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky, x + kx, i)>
#b = affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>
#c = affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>

// Scratch of any tiles is more than 3 percent of the operands, but without it
// there would be nothing to gain.
// CHECK-LABEL: @small
// CHECK-COUNT-2: dlc.contract {{.*}} {winograd =
func.func @small(%x: tensor<1x58x58x64xf32>, %z: tensor<1x58x58x64xf32>, %e: tensor<1x56x56x64xf32>)
    -> (tensor<1x56x56x64xf32>, tensor<1x56x56x64xf32>) {
  %w = arith.constant dense<1.0> : tensor<3x3x64x64xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<1x58x58x64xf32>, tensor<3x3x64x64xf32>, tensor<1x56x56x64xf32> -> tensor<1x56x56x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %z, %w outs %e [#a, #b, #c] : tensor<1x58x58x64xf32>, tensor<3x3x64x64xf32>, tensor<1x56x56x64xf32> -> tensor<1x56x56x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0, %1 : tensor<1x56x56x64xf32>, tensor<1x56x56x64xf32>
}

// -----

#a = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky, x + kx, i)>
#b = affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>
#c = affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>

// The first one would need scratch on top of most memory, for little of what
// the second one takes.
// CHECK-LABEL: @large
// CHECK: dlc.contract %{{.*}} outs %{{.*}} [{{[^]]*}}] : tensor<1x58x58x64xf32>
// ANY-LABEL: @large
// ANY: dlc.contract {{.*}} {winograd = {{.*}} : tensor<1x58x58x64xf32>
func.func @large(%x: tensor<1x58x58x64xf32>, %z: tensor<1x7x7x4096xf32>, %e: tensor<1x56x56x64xf32>, %f: tensor<1x7x7x4096xf32>)
    -> (tensor<1x56x56x64xf32>, tensor<1x7x7x4096xf32>) {
  %v = arith.constant dense<1.0> : tensor<3x3x64x64xf32>
  %w = arith.constant dense<1.0> : tensor<1x1x4096x4096xf32>
  %0 = dlc.contract %x, %v outs %e [#a, #b, #c] : tensor<1x58x58x64xf32>, tensor<3x3x64x64xf32>, tensor<1x56x56x64xf32> -> tensor<1x56x56x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %z, %w outs %f [#a, #b, #c] : tensor<1x7x7x4096xf32>, tensor<1x1x4096x4096xf32>, tensor<1x7x7x4096xf32> -> tensor<1x7x7x4096xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0, %1 : tensor<1x56x56x64xf32>, tensor<1x7x7x4096xf32>
}
