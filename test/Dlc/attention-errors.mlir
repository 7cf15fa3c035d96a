// RUN: dlc-opt %s -split-input-file -verify-diagnostics

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{'dlc.attention' op expected 4 maps, found 3}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: memref<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected all operands to be tensors or all memrefs, found k of 'memref<8x4xf32>'}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, memref<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected 1 result for tensors, found 0}}
  dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected q of rank 1 as its map has results, found 'tensor<6x4xf32>'}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected all maps to have 4 dimensions and no symbols, that of k has 2 and 0}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(n, k) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected the map of k to be a projected permutation, found affine_map<(d0, d1, d2, d3) -> (d1 + 1, d2)>}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n + 1, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected the map of score extra 0 to have dimensions and constants, found affine_map<(d0, d1, d2, d3) -> (d0, d1 floordiv 2)>}}
  %r = dlc.attention %q, %k, %v scores %e : tensor<6x8xf32> outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, n floordiv 2)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32, %x: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected no d1 in the map of extra 0}}
  %r = dlc.attention %q, %k, %v extras %e : tensor<6x8xf32> outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, n)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32, %x: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<7x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected dimension 0 of v to be 7 as d1 is elsewhere, found 8}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<7x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected scores of 2 arguments (the sum, the extras), found 1}}
  %r = dlc.attention %q, %k, %v scores %e : tensor<6x8xf32> outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, n)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected argument 1 of scores to have the type of extra 0's elements}}
  %r = dlc.attention %q, %k, %v scores %e : tensor<6x8xf32> outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, n)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32, %x: f16):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected scores of a float sum, found 'i32'}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected scores to yield one 'f32'}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    %0 = arith.truncf %s : f32 to f16
    dlc.yield %0 : f16
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected epilogue to yield one 'f32'}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    %0 = arith.truncf %t : f32 to f16
    dlc.yield %0 : f16
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xi32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected q, k and v of floats, found 'tensor<6x4xi32>'}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xi32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4x2xf32>, %k: tensor<8x4x2xf32>, %v: tensor<8x4xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected one dimension of depth, found 2}}
  %r = dlc.attention %q, %k, %v outs %i
      [affine_map<(m, n, k, l, c) -> (m, k, l)>, affine_map<(m, n, k, l, c) -> (n, k, l)>, affine_map<(m, n, k, l, c) -> (n, c)>, affine_map<(m, n, k, l, c) -> (m, c)>]
      : tensor<6x4x2xf32>, tensor<8x4x2xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %e: tensor<6x8xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected no side effects in epilogue, found 'vector.print'}}
  %r = dlc.attention %q, %k, %v  outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    vector.print %t : f32
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected a tile of some queries and some keys, found array<i64: 6>}}
  %r = dlc.attention %q, %k, %v outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>] {tile = array<i64: 6>}
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected causal of a dimension of rows and a number of 0 or more, found array<i64: 1, 0>}}
  %r = dlc.attention %q, %k, %v outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>] {causal = array<i64: 1, 0>}
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected causal of a dimension of rows and a number of 0 or more, found array<i64: 0, -1>}}
  %r = dlc.attention %q, %k, %v outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>] {causal = array<i64: 0, -1>}
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: memref<6x4xf32>, %k: memref<8x4xf32>, %v: memref<8x4xf32>, %i: memref<6x4xf32>, %s: memref<64xi8>) {
  // expected-error @below {{expected scratch only with a tile and memrefs}}
  dlc.attention %q, %k, %v outs %i scratch %s : memref<64xi8>
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>]
      : memref<6x4xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<6x4xf32> {
  ^bb0(%s0: f32):
    dlc.yield %s0 : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %i: tensor<2x6x4xf32>) {
  // expected-error @below {{expected a tile, no extras and init of 2 parts, rows and 6 numbers a row, found 'tensor<2x6x4xf32>'}}
  %r = dlc.attention %q, %k, %v outs %i
      [affine_map<(m, n, k, c, p, e) -> (m, k)>, affine_map<(m, n, k, c, p, e) -> (n, k)>, affine_map<(m, n, k, c, p, e) -> (n, c)>, affine_map<(m, n, k, c, p, e) -> (p, m, e)>] {dlc.parts = 2 : i64, tile = array<i64: 6, 8>}
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<2x6x4xf32> -> tensor<2x6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %i: tensor<2x6x6xf32>) {
  // expected-error @below {{expected one dimension of columns, found 3}}
  %r = dlc.attention %q, %k, %v outs %i
      [affine_map<(m, n, k, c, p, e) -> (m, k)>, affine_map<(m, n, k, c, p, e) -> (n, k)>, affine_map<(m, n, k, c, p, e) -> (n, c)>, affine_map<(m, n, k, c, p, e) -> (p, m, e)>]
      : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<2x6x6xf32> -> tensor<2x6x6xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}

// -----

func.func @f(%q: tensor<6x4xbf16>, %k: tensor<8x4xbf16>, %v: tensor<8x4xbf16>, %i: tensor<6x4xf32>) {
  // expected-error @below {{expected dlc.matrix_tiles only with a tile and precision bf16}}
  %r = dlc.attention %q, %k, %v outs %i
      [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>, affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, c)>] {dlc.matrix_tiles, tile = array<i64: 6, 8>}
      : tensor<6x4xbf16>, tensor<8x4xbf16>, tensor<8x4xbf16>, tensor<6x4xf32> -> tensor<6x4xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }, {
  ^bb0(%t: f32):
    dlc.yield %t : f32
  }
  return
}
