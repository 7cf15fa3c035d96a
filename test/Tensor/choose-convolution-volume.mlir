// RUN: dlc-opt %s -dlc-choose-convolution="form=winograd lanes=16" -split-input-file | FileCheck %s
// RUN: dlc-opt %s -dlc-choose-convolution="form=auto lanes=16" -split-input-file | FileCheck %s --check-prefix=AUTO
// RUN: dlc-opt %s -dlc-choose-convolution="form=fft lanes=16" -split-input-file | FileCheck %s --check-prefix=FFT

#a = affine_map<(n, z, y, x, o, kz, ky, kx, i) -> (n, z + kz, y + ky, x + kx, i)>
#b = affine_map<(n, z, y, x, o, kz, ky, kx, i) -> (kz, ky, kx, i, o)>
#c = affine_map<(n, z, y, x, o, kz, ky, kx, i) -> (n, z, y, x, o)>

// Height and width become tiles, the depth stays as it is.
// CHECK-LABEL: @plain
// CHECK: %[[U:.*]] = dlc.winograd_weights %{{.*}} outs %{{.*}}[1, 2] <{{.*}}> {dlc.expand} : tensor<3x3x3x64x64xf32>, tensor<3x[[T:[0-9]x[0-9]]]x64x64xf32>
// CHECK: dlc.contract %{{.*}}, %[[U]] {{.*}} {winograd = #dlc.winograd<{{.*}}windowHeight = 3, windowWidth = 3{{.*}}>} : tensor<1x10x58x58x64xf32>, tensor<3x[[T]]x64x64xf32>
// AUTO-LABEL: @plain
// AUTO: dlc.contract {{.*}} {winograd =
// FFT-LABEL: @plain
// FFT: dlc.contract {{.*}}pair = 3>}
func.func @plain(%x: tensor<1x10x58x58x64xf32>, %e: tensor<1x8x56x56x64xf32>) -> tensor<1x8x56x56x64xf32> {
  %w = arith.constant dense<1.0> : tensor<3x3x3x64x64xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<1x10x58x58x64xf32>, tensor<3x3x3x64x64xf32>, tensor<1x8x56x56x64xf32> -> tensor<1x8x56x56x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x8x56x56x64xf32>
}

// -----

// Strides and dilations along the depth are none of the transforms'.
#a = affine_map<(n, z, y, x, o, kz, ky, kx, i) -> (n, z * 2 + kz * 3, y + ky, x + kx, i)>
#b = affine_map<(n, z, y, x, o, kz, ky, kx, i) -> (kz, ky, kx, i, o)>
#c = affine_map<(n, z, y, x, o, kz, ky, kx, i) -> (n, z, y, x, o)>
// CHECK-LABEL: @strided_depth
// CHECK: dlc.contract {{.*}} {winograd =
func.func @strided_depth(%x: tensor<?x?x?x?x64xf32>, %e: tensor<?x?x?x?x64xf32>) -> tensor<?x?x?x?x64xf32> {
  %w = arith.constant dense<1.0> : tensor<3x3x3x64x64xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<?x?x?x?x64xf32>, tensor<3x3x3x64x64xf32>, tensor<?x?x?x?x64xf32> -> tensor<?x?x?x?x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<?x?x?x?x64xf32>
}

// -----

// Near misses: a stride along the width, a window of the depth alone.
#s = affine_map<(n, z, y, x, o, kz, ky, kx, i) -> (n, z + kz, y + ky, x * 2 + kx, i)>
#a = affine_map<(n, z, y, x, o, kz, ky, kx, i) -> (n, z + kz, y + ky, x + kx, i)>
#b = affine_map<(n, z, y, x, o, kz, ky, kx, i) -> (kz, ky, kx, i, o)>
#c = affine_map<(n, z, y, x, o, kz, ky, kx, i) -> (n, z, y, x, o)>
// CHECK-LABEL: @others
// CHECK-NOT: winograd
func.func @others(%x: tensor<1x10x10x17x8xf32>, %e: tensor<1x8x8x8x8xf32>, %y: tensor<1x10x8x8x8xf32>) -> (tensor<1x8x8x8x8xf32>, tensor<1x8x8x8x8xf32>) {
  %w = arith.constant dense<1.0> : tensor<3x3x3x8x8xf32>
  %v = arith.constant dense<1.0> : tensor<3x1x1x8x8xf32>
  %0 = dlc.contract %x, %w outs %e [#s, #b, #c] : tensor<1x10x10x17x8xf32>, tensor<3x3x3x8x8xf32>, tensor<1x8x8x8x8xf32> -> tensor<1x8x8x8x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %y, %v outs %e [#a, #b, #c] : tensor<1x10x8x8x8xf32>, tensor<3x1x1x8x8xf32>, tensor<1x8x8x8x8xf32> -> tensor<1x8x8x8x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0, %1 : tensor<1x8x8x8x8xf32>, tensor<1x8x8x8x8xf32>
}

// -----

// Channel by channel there is no form for volumes.
#a = affine_map<(n, z, y, x, g, o, kz, ky, kx, i) -> (n, z + kz, y + ky, x + kx, g + i)>
#b = affine_map<(n, z, y, x, g, o, kz, ky, kx, i) -> (kz, ky, kx, i, g, o)>
#c = affine_map<(n, z, y, x, g, o, kz, ky, kx, i) -> (n, z, y, x, g, o)>
// FFT-LABEL: @channel_by_channel
// FFT-NOT: winograd
func.func @channel_by_channel(%x: tensor<1x10x40x40x96xf32>, %e: tensor<1x8x10x10x96x1xf32>) -> tensor<1x8x10x10x96x1xf32> {
  %w = arith.constant dense<1.0> : tensor<3x31x31x1x96x1xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<1x10x40x40x96xf32>, tensor<3x31x31x1x96x1xf32>, tensor<1x8x10x10x96x1xf32> -> tensor<1x8x10x10x96x1xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x8x10x10x96x1xf32>
}
