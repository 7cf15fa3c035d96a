// RUN: dlc-opt %s -dlc-choose-convolution="form=winograd lanes=16" -split-input-file | FileCheck %s
// RUN: dlc-opt %s -dlc-choose-convolution="form=direct" -split-input-file | FileCheck %s --check-prefix=DIRECT
// RUN: dlc-opt %s -dlc-choose-convolution="form=auto growth=1000 error=8 lanes=16" -split-input-file | FileCheck %s --check-prefix=EXACT
// RUN: dlc-opt %s -dlc-choose-convolution="form=auto growth=1000 error=100 lanes=16" -split-input-file | FileCheck %s --check-prefix=LARGE
// RUN: dlc-opt %s -dlc-choose-convolution="form=auto growth=1000 lanes=16" -split-input-file | FileCheck %s --check-prefix=AUTO
// RUN: dlc-opt %s -dlc-choose-convolution="form=auto growth=100 lanes=16" -split-input-file | FileCheck %s --check-prefix=DIRECT
// RUN: dlc-opt %s -dlc-choose-convolution="form=auto lanes=16" -split-input-file | FileCheck %s --check-prefix=ANY
// RUN: dlc-opt %s -dlc-choose-convolution="form=winograd lanes=16 mark" -split-input-file | FileCheck %s --check-prefix=MARK

// Marked only, for a second run.
// MARK-NOT: winograd
// MARK: dlc.contract {{.*}} {dlc.transformed}
// MARK-NOT: winograd

#a = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky, x + kx, i)>
#b = affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>
#c = affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>

// DIRECT-NOT: winograd

// Weights become tiles: a sum over the window.
// CHECK-LABEL: @plain
// CHECK: %[[U:.*]] = dlc.winograd_weights %{{.*}} outs %{{.*}}[0, 1] <{{.*}}> {dlc.expand} : tensor<3x3x64x64xf32>, tensor<[[T:[0-9]x[0-9]]]x64x64xf32>
// CHECK: dlc.contract %{{.*}}, %[[U]] {{.*}} {winograd = #dlc.winograd<{{.*}}windowHeight = 3, windowWidth = 3{{.*}}>} : tensor<1x58x58x64xf32>, tensor<[[T]]x64x64xf32>
// AUTO-LABEL: @plain
// Larger tiles save more and err more.
// AUTO: dlc.contract {{.*}} {winograd = #dlc.winograd<height = 4, width = 6,
// EXACT-LABEL: @plain
// EXACT: dlc.contract {{.*}} {winograd = #dlc.winograd<height = 4, width = 4,
// LARGE-LABEL: @plain
// LARGE: dlc.contract {{.*}} {winograd = #dlc.winograd<height = 4, width = 6,
func.func @plain(%x: tensor<1x58x58x64xf32>, %e: tensor<1x56x56x64xf32>) -> tensor<1x56x56x64xf32> {
  %w = arith.constant dense<1.0> : tensor<3x3x64x64xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<1x58x58x64xf32>, tensor<3x3x64x64xf32>, tensor<1x56x56x64xf32> -> tensor<1x56x56x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x56x56x64xf32>
}

// -----

// Three channels are too few for the transforms to pay: possible, not chosen.
#a = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky, x + kx, i)>
#b = affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>
#c = affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>
// CHECK-LABEL: @few
// CHECK: winograd
// AUTO-LABEL: @few
// AUTO-NOT: winograd
func.func @few(%x: tensor<1x58x58x1xf32>, %e: tensor<1x56x56x8xf32>) -> tensor<1x56x56x8xf32> {
  %w = arith.constant dense<1.0> : tensor<3x3x1x8xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<1x58x58x1xf32>, tensor<3x3x1x8xf32>, tensor<1x56x56x8xf32> -> tensor<1x56x56x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x56x56x8xf32>
}

// -----

// A map of unknown size counts as one of many tiles, which go through the
// kernel in full blocks.
#a = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky, x + kx, i)>
#b = affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>
#c = affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>
// CHECK-LABEL: @unknown_map
// DIRECT-LABEL: @unknown_map
// DIRECT-NOT: winograd
// CHECK: dlc.winograd_weights %{{.*}} <height = 6, width = 6, windowHeight = 3, windowWidth = 3, tiles = 18>
// AUTO-LABEL: @unknown_map
// AUTO: dlc.winograd_weights %{{.*}} <height = 4, width = 6, windowHeight = 3, windowWidth = 3, tiles = 24>
// AUTO: dlc.contract {{.*}}winograd = #dlc.winograd<
func.func @unknown_map(%x: tensor<1x?x?x64xf32>, %e: tensor<1x?x?x64xf32>) -> tensor<1x?x?x64xf32> {
  %w = arith.constant dense<1.0> : tensor<3x3x64x64xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<1x?x?x64xf32>, tensor<3x3x64x64xf32>, tensor<1x?x?x64xf32> -> tensor<1x?x?x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x?x?x64xf32>
}

// -----

// Near misses: stride 2, a window beside which the map is dilated, weights of
// the run, double precision.
#a = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky, x + kx, i)>
#s = affine_map<(n, y, x, o, ky, kx, i) -> (n, y * 2 + ky, x * 2 + kx, i)>
#d = affine_map<(n, y, x, o, ky, kx, i) -> (n, y * 2 + ky * 2, x + kx * 2, i)>
#b = affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>
#c = affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>
// CHECK-LABEL: @others
// CHECK-NOT: winograd
func.func @others(%x: tensor<1x17x17x8xf32>, %v: tensor<3x3x8x8xf32>, %xd: tensor<1x10x10x8xf64>, %e: tensor<1x8x8x8xf32>, %ed: tensor<1x8x8x8xf64>) -> (tensor<1x8x8x8xf32>, tensor<1x8x8x8xf32>, tensor<1x8x8x8xf32>, tensor<1x8x8x8xf64>) {
  %w = arith.constant dense<1.0> : tensor<3x3x8x8xf32>
  %wd = arith.constant dense<1.0> : tensor<3x3x8x8xf64>
  %0 = dlc.contract %x, %w outs %e [#s, #b, #c] : tensor<1x17x17x8xf32>, tensor<3x3x8x8xf32>, tensor<1x8x8x8xf32> -> tensor<1x8x8x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %x, %w outs %e [#d, #b, #c] : tensor<1x17x17x8xf32>, tensor<3x3x8x8xf32>, tensor<1x8x8x8xf32> -> tensor<1x8x8x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %2 = dlc.contract %x, %v outs %e [#a, #b, #c] : tensor<1x17x17x8xf32>, tensor<3x3x8x8xf32>, tensor<1x8x8x8xf32> -> tensor<1x8x8x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %3 = dlc.contract %xd, %wd outs %ed [#a, #b, #c] : tensor<1x10x10x8xf64>, tensor<3x3x8x8xf64>, tensor<1x8x8x8xf64> -> tensor<1x8x8x8xf64> {
  ^bb0(%s: f64):
    dlc.yield %s : f64
  }
  return %0, %1, %2, %3 : tensor<1x8x8x8xf32>, tensor<1x8x8x8xf32>, tensor<1x8x8x8xf32>, tensor<1x8x8x8xf64>
}

// -----

// A dilated window's outputs and inputs of a phase are an ordinary convolution.
#a = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky * 2, x + kx * 3, i)>
#b = affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>
#c = affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>
// CHECK-LABEL: @dilated
// CHECK: dlc.winograd_weights {{.*}} tensor<3x3x64x64xf32>
// CHECK: dlc.contract {{.*}} {winograd = #dlc.winograd<{{[^>]*}}windowHeight = 3, windowWidth = 3, tiles
// ANY-LABEL: @dilated
// ANY: dlc.contract {{.*}} {winograd = #dlc.winograd<height = {{[2-6]}}, width = {{[2-6]}}, windowHeight = 3, windowWidth = 3, tiles
func.func @dilated(%x: tensor<1x60x62x64xf32>, %e: tensor<1x56x56x64xf32>) -> tensor<1x56x56x64xf32> {
  %w = arith.constant dense<1.0> : tensor<3x3x64x64xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<1x60x62x64xf32>, tensor<3x3x64x64xf32>, tensor<1x56x56x64xf32> -> tensor<1x56x56x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x56x56x64xf32>
}

// -----

// Fourier's form has no phases.
#a = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky * 2, x + kx * 3, i)>
#b = affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>
#c = affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>
// CHECK-LABEL: @dilated_large
// CHECK-NOT: winograd
// ANY-LABEL: @dilated_large
// ANY-NOT: winograd
func.func @dilated_large(%x: tensor<1x72x80x64xf32>, %e: tensor<1x56x56x64xf32>) -> tensor<1x56x56x64xf32> {
  %w = arith.constant dense<1.0> : tensor<9x9x64x64xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<1x72x80x64xf32>, tensor<9x9x64x64xf32>, tensor<1x56x56x64xf32> -> tensor<1x56x56x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x56x56x64xf32>
}

// -----

// A large window takes Fourier's form, whose planes stand for a window.
#a = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky, x + kx, i)>
#b = affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>
#c = affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>
// ANY-LABEL: @large_window
// ANY: dlc.winograd_weights %{{.*}}[0, 1] <{{.*}}pair = 3> {dlc.expand} : tensor<9x9x64x64xf32>, tensor<[[P:[0-9]+]]x1x64x64xf32>
// ANY: dlc.contract {{.*}}windowHeight = 9, windowWidth = 9, {{.*}}pair = 3>} : tensor<1x64x64x64xf32>, tensor<[[P]]x1x64x64xf32>
// DIRECT-LABEL: @large_window
// DIRECT-NOT: winograd
func.func @large_window(%x: tensor<1x64x64x64xf32>, %e: tensor<1x56x56x64xf32>) -> tensor<1x56x56x64xf32> {
  %w = arith.constant dense<1.0> : tensor<9x9x64x64xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<1x64x64x64xf32>, tensor<9x9x64x64xf32>, tensor<1x56x56x64xf32> -> tensor<1x56x56x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x56x56x64xf32>
}

// -----

// Channel by channel a complex number is two planes, and a tile goes through at
// a time.
#a = affine_map<(n, y, x, g, o, ky, kx, i) -> (n, y + ky, x + kx, g + i)>
#b = affine_map<(n, y, x, g, o, ky, kx, i) -> (ky, kx, i, g, o)>
#c = affine_map<(n, y, x, g, o, ky, kx, i) -> (n, y, x, g, o)>
// ANY-LABEL: @channel_by_channel
// ANY: dlc.contract {{.*}}windowHeight = 31, windowWidth = 31, tiles = 1, pair = 2>}
func.func @channel_by_channel(%x: tensor<1x86x86x96xf32>, %e: tensor<1x56x56x96x1xf32>) -> tensor<1x56x56x96x1xf32> {
  %w = arith.constant dense<1.0> : tensor<31x31x1x96x1xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<1x86x86x96xf32>, tensor<31x31x1x96x1xf32>, tensor<1x56x56x96x1xf32> -> tensor<1x56x56x96x1xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<1x56x56x96x1xf32>
}
