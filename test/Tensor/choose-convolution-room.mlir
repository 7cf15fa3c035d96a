// RUN: dlc-opt %s -dlc-choose-convolution="lanes=16" -split-input-file | FileCheck %s

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

// The large one would need scratch on top of most memory for little of what the
// small ones gain.
// CHECK-LABEL: @large
// CHECK: dlc.contract {{.*}} : tensor<1x226x226x3xf32>
// CHECK-NOT: winograd
// CHECK: dlc.yield
// CHECK-COUNT-2: dlc.contract {{.*}} {winograd = {{.*}} : tensor<1x58x58x256xf32>
func.func @large(%x: tensor<1x226x226x3xf32>, %z: tensor<1x58x58x256xf32>, %e: tensor<1x224x224x64xf32>, %f: tensor<1x56x56x256xf32>)
    -> (tensor<1x224x224x64xf32>, tensor<1x56x56x256xf32>, tensor<1x56x56x256xf32>) {
  %v = arith.constant dense<1.0> : tensor<3x3x3x64xf32>
  %w = arith.constant dense<1.0> : tensor<3x3x256x256xf32>
  %0 = dlc.contract %x, %v outs %e [#a, #b, #c] : tensor<1x226x226x3xf32>, tensor<3x3x3x64xf32>, tensor<1x224x224x64xf32> -> tensor<1x224x224x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %z, %w outs %f [#a, #b, #c] : tensor<1x58x58x256xf32>, tensor<3x3x256x256xf32>, tensor<1x56x56x256xf32> -> tensor<1x56x56x256xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %2 = dlc.contract %z, %w outs %f [#a, #b, #c] : tensor<1x58x58x256xf32>, tensor<3x3x256x256xf32>, tensor<1x56x56x256xf32> -> tensor<1x56x56x256xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0, %1, %2 : tensor<1x224x224x64xf32>, tensor<1x56x56x256xf32>, tensor<1x56x56x256xf32>
}
