// RUN: dlc-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{'dlc.contract' op expected 3 maps, found 2}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: memref<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected all operands to be tensors or all memrefs, found b of 'memref<6x8xf32>'}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, memref<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected 1 result for tensors, found 0}}
  dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: memref<4x6xf32>, %w: memref<6x8xf32>, %c: memref<4x8xf32>) {
  // expected-error @below {{expected 0 results for memrefs, found 1}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : memref<4x6xf32>, memref<6x8xf32>, memref<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected a result of init's type 'tensor<4x8xf32>', found 'tensor<4x9xf32>'}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x9xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected the map of a without symbols}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k)[s] -> (m, k + s)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected all maps to have 3 dimensions, that of b has 2}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n) -> (m, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected a of rank 2 as its map has results, found 'tensor<4xf32>'}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected the map of init to be a projected permutation}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n + m)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>, %e: tensor<16xf32>) {
  // expected-error @below {{expected dimensions and constants in the map of extra 0, found d1 * 2}}
  %r = dlc.contract %x, %w extras %e : tensor<16xf32> outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (n * 2)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32, %t: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected linear expressions in the map of a, found d2 mod 2}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k mod 2)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected linear expressions or panels in the map of b, found d1 ceildiv 2}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n ceildiv 2)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>, %e: tensor<6xf32>) {
  // expected-error @below {{expected no summed dimension in the map of extra 0, found d2}}
  %r = dlc.contract %x, %w extras %e : tensor<6xf32> outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (k)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32, %t: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected the extent of d2 to be a dimension of an operand}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k + m)>, affine_map<(m, n, k) -> (k + m, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<7x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected dimension 1 of a to be 7 as d2 is elsewhere, found 6}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<7x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected the epilogue of 1 arguments (the sum, the extras), found 2}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32, %t: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected a, b and the sum to be all floats or all integers, found 'f32', 'f32' and 'i32'}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: i32):
    %t = arith.sitofp %s : i32 to f32
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected a sum no narrower than its operands, found 'f16'}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f16):
    %t = arith.extf %s : f16 to f32
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>, %e: tensor<8xf64>) {
  // expected-error @below {{expected argument 1 of the epilogue to have the type of extra 0's elements}}
  %r = dlc.contract %x, %w extras %e : tensor<8xf64> outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32, %t: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected the epilogue to yield one 'f32'}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    %t = arith.extf %s : f32 to f64
    dlc.yield %t : f64
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected no side effects in the epilogue, found 'memref.alloc'}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    %t = memref.alloc() : memref<1xf32>
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<1x10x10x8xf32>, %w: tensor<5x6x8x8xf32>, %c: tensor<1x8x8x8xf32>) {
  // expected-error @below {{expected weights of 6x6 a tile}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky, x + kx, i)>, affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>, affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>]
      {winograd = #dlc.winograd<height = 4, width = 4, windowHeight = 3, windowWidth = 3, tiles = 4>}
      : tensor<1x10x10x8xf32>, tensor<5x6x8x8xf32>, tensor<1x8x8x8xf32> -> tensor<1x8x8x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<1x12x12x8xf32>, %w: tensor<40x1x8x8xf32>, %c: tensor<1x8x8x8xf32>) {
  // expected-error @below {{expected no dilation for #dlc.winograd}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky * 2, x + kx * 2, i)>, affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>, affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>]
      {winograd = #dlc.winograd<height = 6, width = 6, windowHeight = 3, windowWidth = 3, tiles = 6, pair = 3>}
      : tensor<1x12x12x8xf32>, tensor<40x1x8x8xf32>, tensor<1x8x8x8xf32> -> tensor<1x8x8x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected a 2-D or 3-D convolution of stride 1 for #dlc.winograd}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      {winograd = #dlc.winograd<height = 4, width = 4, windowHeight = 3, windowWidth = 3, tiles = 4>}
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<6x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected operands of i8 for #dlc.dot<flip = true>, found 'tensor<4x6xf32>'}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      {dot = #dlc.dot<flip = true>}
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>, %w: tensor<3x8x2xbf16>, %c: tensor<4x8xf32>) {
  // expected-error @below {{expected operands of bf16 for #dlc.dot<flip = false, group = 2, extent = 6>, found 'tensor<4x6xf32>'}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k floordiv 2, n, k mod 2)>, affine_map<(m, n, k) -> (m, n)>]
      {dot = #dlc.dot<flip = false, group = 2, extent = 6>}
      : tensor<4x6xf32>, tensor<3x8x2xbf16>, tensor<4x8xf32> -> tensor<4x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<4x6xi8>, %w: tensor<6x8xi8>, %c: tensor<4x8xi32>) {
  // expected-error @below {{expected the map of b to end with a summed dimension in groups for #dlc.dot<flip = false, group = 4, extent = 6>}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      {dot = #dlc.dot<flip = false, group = 4, extent = 6>}
      : tensor<4x6xi8>, tensor<6x8xi8>, tensor<4x8xi32> -> tensor<4x8xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return
}

// -----

func.func @f(%x: tensor<1x6x9x8xf32>, %w: tensor<3x3x8xf32>, %c: tensor<1x6x9x8xf32>) {
  // expected-error @below {{expected zeroOutside to name dimensions of a along which a window moves, found 3}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(n, y, x, c, i, j) -> (n, y + i - 1, x + j - 1, c)>, affine_map<(n, y, x, c, i, j) -> (i, j, c)>,
       affine_map<(n, y, x, c, i, j) -> (n, y, x, c)>]
      {zeroOutside = array<i64: 1, 2, 3>}
      : tensor<1x6x9x8xf32>, tensor<3x3x8xf32>, tensor<1x6x9x8xf32> -> tensor<1x6x9x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// -----

func.func @f(%x: tensor<1x6x9x8xf32>, %w: tensor<3x3x8xf32>, %c: tensor<1x6x9x8xf32>) {
  // expected-error @below {{expected linear expressions in the map of a, found d1 + d4 - 1}}
  %r = dlc.contract %x, %w outs %c
      [affine_map<(n, y, x, c, i, j) -> (n, y + i - 1, x + j - 1, c)>, affine_map<(n, y, x, c, i, j) -> (i, j, c)>,
       affine_map<(n, y, x, c, i, j) -> (n, y, x, c)>]
      {zeroOutside = array<i64: 2>}
      : tensor<1x6x9x8xf32>, tensor<3x3x8xf32>, tensor<1x6x9x8xf32> -> tensor<1x6x9x8xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}
