// RUN: dlc-opt %s -split-input-file -verify-diagnostics | FileCheck %s

#f = #dlc.winograd<height = 4, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
// CHECK: dlc.winograd_weights %{{.*}} outs %{{.*}}[1, 2] <height = 4, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12> : tensor<2x3x3x8xf32>, tensor<2x6x4x8xf32> -> tensor<2x6x4x8xf32>
func.func @right(%w: tensor<2x3x3x8xf32>, %u: tensor<2x6x4x8xf32>, %m: memref<2x3x3x8xf32>, %o: memref<2x6x4x8xf32>) -> tensor<2x6x4x8xf32> {
  %0 = dlc.winograd_weights %w outs %u [1, 2] #f : tensor<2x3x3x8xf32>, tensor<2x6x4x8xf32> -> tensor<2x6x4x8xf32>
  // CHECK: dlc.winograd_weights {{.*}} : memref<2x3x3x8xf32>, memref<2x6x4x8xf32>
  dlc.winograd_weights %m outs %o [1, 2] #f : memref<2x3x3x8xf32>, memref<2x6x4x8xf32>
  return %0 : tensor<2x6x4x8xf32>
}

// -----

#f = #dlc.winograd<height = 4, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
func.func @shape(%w: tensor<2x3x3x8xf32>, %u: tensor<2x6x6x8xf32>) {
  // expected-error @below {{expected dimension 2 to become 4 of 3, found 6 of 3}}
  %0 = dlc.winograd_weights %w outs %u [1, 2] #f : tensor<2x3x3x8xf32>, tensor<2x6x6x8xf32> -> tensor<2x6x6x8xf32>
  return
}

// -----

#f = #dlc.winograd<height = 4, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
func.func @dimensions(%w: tensor<2x3x3x8xf32>, %u: tensor<2x6x4x8xf32>) {
  // expected-error @below {{expected two dimensions of the 4 of the weights, found 1 and 4}}
  %0 = dlc.winograd_weights %w outs %u [1, 4] #f : tensor<2x3x3x8xf32>, tensor<2x6x4x8xf32> -> tensor<2x6x4x8xf32>
  return
}

// -----

#f = #dlc.winograd<height = 4, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
func.func @elements(%w: tensor<2x3x3x8xf64>, %u: tensor<2x6x4x8xf32>) {
  // expected-error @below {{expected elements of f32}}
  %0 = dlc.winograd_weights %w outs %u [1, 2] #f : tensor<2x3x3x8xf64>, tensor<2x6x4x8xf32> -> tensor<2x6x4x8xf32>
  return
}

// -----

#f = #dlc.winograd<height = 4, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
func.func @dynamic(%w: tensor<?x3x3x8xf32>, %u: tensor<2x6x4x8xf32>) {
  // expected-error @below {{expected static shapes of one rank}}
  %0 = dlc.winograd_weights %w outs %u [1, 2] #f : tensor<?x3x3x8xf32>, tensor<2x6x4x8xf32> -> tensor<2x6x4x8xf32>
  return
}

// -----

#f = #dlc.winograd<height = 4, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
func.func @mixed(%w: memref<2x3x3x8xf32>, %u: tensor<2x6x4x8xf32>) {
  // expected-error @below {{expected both operands to be tensors or memrefs}}
  %0 = dlc.winograd_weights %w outs %u [1, 2] #f : memref<2x3x3x8xf32>, tensor<2x6x4x8xf32> -> tensor<2x6x4x8xf32>
  return
}

// -----

#f = #dlc.winograd<height = 4, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
func.func @result(%w: tensor<2x3x3x8xf32>, %u: tensor<2x6x4x8xf32>) {
  // expected-error @below {{expected a result for tensors}}
  dlc.winograd_weights %w outs %u [1, 2] #f : tensor<2x3x3x8xf32>, tensor<2x6x4x8xf32>
  return
}

// -----

#f = #dlc.winograd<height = 4, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
func.func @noResult(%m: memref<2x3x3x8xf32>, %o: memref<2x6x4x8xf32>) {
  // expected-error @below {{expected no result for memrefs}}
  %0 = dlc.winograd_weights %m outs %o [1, 2] #f : memref<2x3x3x8xf32>, memref<2x6x4x8xf32> -> tensor<2x6x4x8xf32>
  return
}

// -----

#f = #dlc.winograd<height = 4, width = 2, windowHeight = 3, windowWidth = 3, tiles = 12>
func.func @otherResult(%w: tensor<2x3x3x8xf32>, %u: tensor<2x6x4x8xf32>) {
  // expected-error @below {{expected a result of init's type}}
  %0 = dlc.winograd_weights %w outs %u [1, 2] #f : tensor<2x3x3x8xf32>, tensor<2x6x4x8xf32> -> tensor<2x6x4x9xf32>
  return
}

// -----

func.func @pair(%w: tensor<3x3x4x4xf32>, %e: tensor<22x1x4x4xf32>) {
  // expected-error @below {{expected 2 or 3 numbers for a complex one in #dlc.winograd<height = 6, width = 6, windowHeight = 3, windowWidth = 3, tiles = 6, pair = 4>, found 4}}
  %u = dlc.winograd_weights %w outs %e [0, 1] <height = 6, width = 6, windowHeight = 3, windowWidth = 3, tiles = 6, pair = 4> : tensor<3x3x4x4xf32>, tensor<22x1x4x4xf32> -> tensor<22x1x4x4xf32>
  return
}

// -----

func.func @power(%w: tensor<3x3x4x4xf32>, %e: tensor<22x1x4x4xf32>) {
  // expected-error @below {{expected a power of two as the size of a tile in #dlc.winograd<height = 4, width = 6, windowHeight = 3, windowWidth = 3, tiles = 6, pair = 3>, found 6}}
  %u = dlc.winograd_weights %w outs %e [0, 1] <height = 4, width = 6, windowHeight = 3, windowWidth = 3, tiles = 6, pair = 3> : tensor<3x3x4x4xf32>, tensor<22x1x4x4xf32> -> tensor<22x1x4x4xf32>
  return
}

// -----

func.func @planes(%w: tensor<3x3x4x4xf32>, %e: tensor<93x1x4x4xf32>) {
  // expected-error @below {{expected dimension 0 to become 94 of 3, found 93 of 3}}
  %u = dlc.winograd_weights %w outs %e [0, 1] <height = 6, width = 6, windowHeight = 3, windowWidth = 3, tiles = 6, pair = 3> : tensor<3x3x4x4xf32>, tensor<93x1x4x4xf32> -> tensor<93x1x4x4xf32>
  return
}
