// RUN: dlc-opt %s --split-input-file --pass-pipeline='builtin.module(dlc-block-pools{cache=65536 launch=0 least-cycles=0})' | FileCheck %s
// RUN: dlc-opt %s --split-input-file --pass-pipeline='builtin.module(dlc-block-pools{cache=65536 launch=0 least-cycles=0})' --remark-format=emitRemark --remarks-filter="dlc-block-pools" -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// 16 lines of results in 4 blocks of 4, of 8 lines of the map each. What
// follows works on the same lines; a residual is read line by line, too.

#a = affine_map<(n, y, x, c, i, j, k) -> (n, y + i, x + j, k)>
#w = affine_map<(n, y, x, c, i, j, k) -> (i, j, k, c)>
#c = affine_map<(n, y, x, c, i, j, k) -> (n, y, x, c)>
#x = affine_map<(n, y, x, i, j, c) -> (n, y * 2 + i, x * 2 + j, c)>
#window = affine_map<(n, y, x, i, j, c) -> (i, j)>
#y = affine_map<(n, y, x, i, j, c) -> (n, y, x, c)>
#id = affine_map<(n, y, x, c) -> (n, y, x, c)>

// REMARK: in 4 blocks of 4 lines with its convolution: {{[0-9]+}} cycles more, and a map of 131072 bytes less

// CHECK-LABEL: func.func @even
// CHECK-SAME:    (%[[A:.*]]: memref<1x34x34x8xf32>, %[[W:.*]]: memref<3x3x8x32xf32>, %[[R:.*]]: memref<1x32x32x32xf32>, %[[S:.*]]: memref<1x16x16x32xf32>, %[[Y:.*]]: memref<1x16x16x32xf32>)
// CHECK-NOT: memref<1x32x32x32xf32>
// CHECK: %[[BLOCK:.*]] = memref.alloc() {alignment = 64 : i64} : memref<1x8x32x32xf32>
// CHECK: scf.for %[[I:.*]] = %c0{{.*}} to %c4{{.*}} step %c1
// CHECK:   %[[FIRST:.*]] = arith.minsi
// CHECK:   memref.subview %[[A]][0, %{{.*}}, 0, 0] [1, 10, 34, 8]
// CHECK:   memref.subview %[[R]][0, %{{.*}}, 0, 0] [1, 8, 32, 32]
// CHECK:   dlc.contract %{{.*}}, %[[W]] extras %{{.*}} outs %[[BLOCK]]
// CHECK:   %[[PART:.*]] = memref.subview %[[Y]][0, %[[FIRST]], 0, 0] [1, 4, 16, 32]
// CHECK:   linalg.fill {{.*}} outs(%[[PART]]
// CHECK:   linalg.generic {{.*}} ins(%[[BLOCK]], %{{.*}}) outs(%[[PART]]
// CHECK:   %[[S4:.*]] = memref.subview %[[S]][0, %[[FIRST]], 0, 0] [1, 4, 16, 32]
// CHECK:   linalg.generic {{.*}} ins(%[[S4]] : {{.*}}) outs(%[[PART]]
func.func @even(%a: memref<1x34x34x8xf32>, %w: memref<3x3x8x32xf32>, %r: memref<1x32x32x32xf32>, %s: memref<1x16x16x32xf32>, %y: memref<1x16x16x32xf32>) {
  %low = arith.constant 0xFF800000 : f32
  %window = memref.alloc() : memref<2x2xf32>
  %map = memref.alloc() : memref<1x32x32x32xf32>
  dlc.contract %a, %w extras %r : memref<1x32x32x32xf32> outs %map [#a, #w, #c, #c] : memref<1x34x34x8xf32>, memref<3x3x8x32xf32>, memref<1x32x32x32xf32> {
  ^bb0(%sum: f32, %residual: f32):
    %0 = arith.addf %sum, %residual : f32
    dlc.yield %0 : f32
  }
  linalg.fill ins(%low : f32) outs(%y : memref<1x16x16x32xf32>)
  linalg.generic {indexing_maps = [#x, #window, #y],
                  iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction", "parallel"]}
      ins(%map, %window : memref<1x32x32x32xf32>, memref<2x2xf32>) outs(%y : memref<1x16x16x32xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %0 = arith.maximumf %o, %p : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s : memref<1x16x16x32xf32>) outs(%y : memref<1x16x16x32xf32>) {
  ^bb0(%p: f32, %o: f32):
    %0 = arith.mulf %o, %p : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// Windows that overlap, in a border of one line, of two images: the border at
// the sides is filled once, that above in the first block, that below in the
// last one. All blocks have 9 lines of the convolution in a block of 11.

#a = affine_map<(n, y, x, c, k) -> (n, y * 2, x * 2, k)>
#w = affine_map<(n, y, x, c, k) -> (k, c)>
#c = affine_map<(n, y, x, c, k) -> (n, y, x, c)>
#x = affine_map<(n, y, x, i, j, c) -> (n, y * 2 + i, x * 2 + j, c)>
#window = affine_map<(n, y, x, i, j, c) -> (i, j)>
#y = affine_map<(n, y, x, i, j, c) -> (n, y, x, c)>

// REMARK: in 4 blocks of 4 lines with its convolution

// CHECK-LABEL: func.func @border
// CHECK: %[[BLOCK:.*]] = memref.alloc() {{.*}} : memref<1x11x33x24xf32>
// CHECK: %[[LEFT:.*]] = memref.subview %[[BLOCK]][0, 0, 0, 0] [1, 11, 1, 24]
// CHECK: linalg.fill {{.*}} outs(%[[LEFT]]
// CHECK: %[[RIGHT:.*]] = memref.subview %[[BLOCK]][0, 0, 32, 0] [1, 11, 1, 24]
// CHECK: linalg.fill {{.*}} outs(%[[RIGHT]]
// CHECK: scf.for %[[N:.*]] = %c0{{.*}} to %c2{{.*}} step
// CHECK: scf.for %[[I:.*]] = %c0{{.*}} to %c4{{.*}} step
// CHECK:   arith.cmpi eq, %[[I]], %c0
// CHECK:   scf.if
// CHECK:     %[[ABOVE:.*]] = memref.subview %[[BLOCK]][0, 1, 0, 0] [1, 1, 33, 24]
// CHECK:     linalg.fill {{.*}} outs(%[[ABOVE]]
// CHECK:   arith.cmpi eq, %[[I]], %c3
// CHECK:   scf.if
// CHECK:     %[[BELOW:.*]] = memref.subview %[[BLOCK]][0, 9, 0, 0] [1, 1, 33, 24]
// CHECK:     linalg.fill {{.*}} outs(%[[BELOW]]
// CHECK:   memref.subview %{{.*}}[%[[N]], %{{.*}}, 0, 0] [1, 17, 61, 8]
// CHECK:   dlc.contract
// CHECK:   memref.subview %{{.*}}[%[[N]], %{{.*}}, 0, 0] [1, 4, 16, 24]
// CHECK:   %[[LINES:.*]] = memref.subview %[[BLOCK]][0, 1, 0, 0] [1, 9, 33, 24]
// CHECK:   linalg.generic {{.*}} ins(%[[LINES]]
func.func @border(%a: memref<2x61x61x8xf32>, %w: memref<8x24xf32>, %y: memref<2x16x16x24xf32>) {
  %low = arith.constant 0xFF800000 : f32
  %window = memref.alloc() : memref<3x3xf32>
  %map = memref.alloc() : memref<2x33x33x24xf32>
  %above = memref.subview %map[0, 0, 0, 0] [2, 1, 33, 24] [1, 1, 1, 1] : memref<2x33x33x24xf32> to memref<2x1x33x24xf32, strided<[26136, 792, 24, 1]>>
  linalg.fill ins(%low : f32) outs(%above : memref<2x1x33x24xf32, strided<[26136, 792, 24, 1]>>)
  %below = memref.subview %map[0, 32, 0, 0] [2, 1, 33, 24] [1, 1, 1, 1] : memref<2x33x33x24xf32> to memref<2x1x33x24xf32, strided<[26136, 792, 24, 1], offset: 25344>>
  linalg.fill ins(%low : f32) outs(%below : memref<2x1x33x24xf32, strided<[26136, 792, 24, 1], offset: 25344>>)
  %left = memref.subview %map[0, 1, 0, 0] [2, 31, 1, 24] [1, 1, 1, 1] : memref<2x33x33x24xf32> to memref<2x31x1x24xf32, strided<[26136, 792, 24, 1], offset: 792>>
  linalg.fill ins(%low : f32) outs(%left : memref<2x31x1x24xf32, strided<[26136, 792, 24, 1], offset: 792>>)
  %right = memref.subview %map[0, 1, 32, 0] [2, 31, 1, 24] [1, 1, 1, 1] : memref<2x33x33x24xf32> to memref<2x31x1x24xf32, strided<[26136, 792, 24, 1], offset: 1560>>
  linalg.fill ins(%low : f32) outs(%right : memref<2x31x1x24xf32, strided<[26136, 792, 24, 1], offset: 1560>>)
  %inner = memref.subview %map[0, 1, 1, 0] [2, 31, 31, 24] [1, 1, 1, 1] : memref<2x33x33x24xf32> to memref<2x31x31x24xf32, strided<[26136, 792, 24, 1], offset: 816>>
  dlc.contract %a, %w outs %inner [#a, #w, #c] : memref<2x61x61x8xf32>, memref<8x24xf32>, memref<2x31x31x24xf32, strided<[26136, 792, 24, 1], offset: 816>> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  linalg.fill ins(%low : f32) outs(%y : memref<2x16x16x24xf32>)
  linalg.generic {indexing_maps = [#x, #window, #y],
                  iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction", "parallel"]}
      ins(%map, %window : memref<2x33x33x24xf32>, memref<3x3xf32>) outs(%y : memref<2x16x16x24xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %0 = arith.maximumf %o, %p : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

// Near misses: another one reads the map; the pool's results are in the memory
// of what the convolution reads; something between them writes to that; the map
// is small.

#a = affine_map<(n, y, x, c, k) -> (n, y, x, k)>
#w = affine_map<(n, y, x, c, k) -> (k, c)>
#c = affine_map<(n, y, x, c, k) -> (n, y, x, c)>
#x = affine_map<(n, y, x, i, j, c) -> (n, y * 2 + i, x * 2 + j, c)>
#window = affine_map<(n, y, x, i, j, c) -> (i, j)>
#y = affine_map<(n, y, x, i, j, c) -> (n, y, x, c)>
#pool = {indexing_maps = [#x, #window, #y],
         iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction", "parallel"]}

// CHECK-LABEL: func.func @used
// CHECK-NOT: scf.for
func.func @used(%a: memref<1x32x32x8xf32>, %w: memref<8x32xf32>, %y: memref<1x16x16x32xf32>, %z: memref<1x32x32x32xf32>) {
  %low = arith.constant 0xFF800000 : f32
  %window = memref.alloc() : memref<2x2xf32>
  %map = memref.alloc() : memref<1x32x32x32xf32>
  dlc.contract %a, %w outs %map [#a, #w, #c] : memref<1x32x32x8xf32>, memref<8x32xf32>, memref<1x32x32x32xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  linalg.fill ins(%low : f32) outs(%y : memref<1x16x16x32xf32>)
  linalg.generic #pool ins(%map, %window : memref<1x32x32x32xf32>, memref<2x2xf32>) outs(%y : memref<1x16x16x32xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %0 = arith.maximumf %o, %p : f32
    linalg.yield %0 : f32
  }
  memref.copy %map, %z : memref<1x32x32x32xf32> to memref<1x32x32x32xf32>
  return
}

// CHECK-LABEL: func.func @inPlace
// CHECK-NOT: scf.for
func.func @inPlace(%w: memref<8x32xf32>, %memory: memref<32768xf32>) {
  %low = arith.constant 0xFF800000 : f32
  %window = memref.alloc() : memref<2x2xf32>
  %a = memref.reinterpret_cast %memory to offset: [0], sizes: [1, 32, 32, 8], strides: [8192, 256, 8, 1] : memref<32768xf32> to memref<1x32x32x8xf32>
  %y = memref.reinterpret_cast %memory to offset: [0], sizes: [1, 16, 16, 32], strides: [8192, 512, 32, 1] : memref<32768xf32> to memref<1x16x16x32xf32>
  %map = memref.alloc() : memref<1x32x32x32xf32>
  dlc.contract %a, %w outs %map [#a, #w, #c] : memref<1x32x32x8xf32>, memref<8x32xf32>, memref<1x32x32x32xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  linalg.fill ins(%low : f32) outs(%y : memref<1x16x16x32xf32>)
  linalg.generic #pool ins(%map, %window : memref<1x32x32x32xf32>, memref<2x2xf32>) outs(%y : memref<1x16x16x32xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %0 = arith.maximumf %o, %p : f32
    linalg.yield %0 : f32
  }
  return
}

// CHECK-LABEL: func.func @written
// CHECK-NOT: scf.for
func.func @written(%a: memref<1x32x32x8xf32>, %w: memref<8x32xf32>, %y: memref<1x16x16x32xf32>) {
  %low = arith.constant 0xFF800000 : f32
  %window = memref.alloc() : memref<2x2xf32>
  %map = memref.alloc() : memref<1x32x32x32xf32>
  dlc.contract %a, %w outs %map [#a, #w, #c] : memref<1x32x32x8xf32>, memref<8x32xf32>, memref<1x32x32x32xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  linalg.fill ins(%low : f32) outs(%a : memref<1x32x32x8xf32>)
  linalg.fill ins(%low : f32) outs(%y : memref<1x16x16x32xf32>)
  linalg.generic #pool ins(%map, %window : memref<1x32x32x32xf32>, memref<2x2xf32>) outs(%y : memref<1x16x16x32xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %0 = arith.maximumf %o, %p : f32
    linalg.yield %0 : f32
  }
  return
}

// REMARK: not in blocks with its convolution: a map of 8192 bytes

// CHECK-LABEL: func.func @small
// CHECK-NOT: scf.for
func.func @small(%a: memref<1x8x8x8xf32>, %w: memref<8x32xf32>, %y: memref<1x4x4x32xf32>) {
  %low = arith.constant 0xFF800000 : f32
  %window = memref.alloc() : memref<2x2xf32>
  %map = memref.alloc() : memref<1x8x8x32xf32>
  dlc.contract %a, %w outs %map [#a, #w, #c] : memref<1x8x8x8xf32>, memref<8x32xf32>, memref<1x8x8x32xf32> {
  ^bb0(%sum: f32):
    dlc.yield %sum : f32
  }
  linalg.fill ins(%low : f32) outs(%y : memref<1x4x4x32xf32>)
  linalg.generic #pool ins(%map, %window : memref<1x8x8x32xf32>, memref<2x2xf32>) outs(%y : memref<1x4x4x32xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %0 = arith.maximumf %o, %p : f32
    linalg.yield %0 : f32
  }
  return
}
