// RUN: dlc-opt %s --split-input-file --dlc-reuse-operands | FileCheck %s
// RUN: dlc-opt %s --split-input-file --dlc-reuse-operands --remark-format=emitRemark --remarks-filter="dlc-reuse-operands" -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK --implicit-check-not=remark:
// RUN: dlc-opt %s --split-input-file --dlc-reuse-operands --dlc-plan-memory | FileCheck %s --check-prefix=PLAN

// Three sums in a row lie in one place, whichever operand the residual is.
// REMARK-COUNT-2: remark: {{.*}}written where an operand of its epilogue was: a buffer of 512 bytes less
// Two tensors of one place count as two.
// PLAN: dlc.live_bytes = array<i64: 1536, 1024, 1024, 1024>, dlc.workspace = 1024
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
#row = affine_map<(m, n, k) -> (n)>

// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.alloc() : memref<8x16xf32>
// CHECK: %[[H:.*]] = memref.alloc() : memref<8x16xf32>
// CHECK-NOT: memref.alloc
// CHECK: call @fill(%[[X]])
// CHECK: dlc.contract %[[X]], %{{.*}} outs %[[H]]
// CHECK: dlc.contract %[[H]], %{{.*}} extras %{{.*}}, %[[X]] : {{.*}} outs %[[X]]
// CHECK: dlc.contract %[[X]], %{{.*}} outs %[[H]]
// CHECK: dlc.contract %[[H]], %{{.*}} extras %[[X]] : {{.*}} outs %[[X]]
// CHECK: call @read(%[[X]])
func.func @main(%w: memref<16x16xf32>, %bias: memref<16xf32>) {
  %x = memref.alloc() : memref<8x16xf32>
  %h = memref.alloc() : memref<8x16xf32>
  %y = memref.alloc() : memref<8x16xf32>
  %z = memref.alloc() : memref<8x16xf32>
  call @fill(%x) : (memref<8x16xf32>) -> ()
  dlc.contract %x, %w outs %h [#a, #b, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  dlc.contract %h, %w extras %bias, %x : memref<16xf32>, memref<8x16xf32> outs %y [#a, #b, #row, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32> {
  ^bb0(%s: f32, %p: f32, %r: f32):
    %0 = arith.addf %s, %p : f32
    %1 = arith.addf %0, %r : f32
    dlc.yield %1 : f32
  }
  dlc.contract %y, %w outs %h [#a, #b, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  dlc.contract %h, %w extras %y : memref<8x16xf32> outs %z [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  call @read(%z) : (memref<8x16xf32>) -> ()
  return
}
func.func private @fill(memref<8x16xf32>)
func.func private @read(memref<8x16xf32>)

// -----

// What is read later stays.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.alloc()
// CHECK: %[[Y:.*]] = memref.alloc()
// CHECK: dlc.contract %{{.*}} extras %[[X]] : {{.*}} outs %[[Y]]
func.func @main(%h: memref<8x16xf32>, %w: memref<16x16xf32>) {
  %x = memref.alloc() : memref<8x16xf32>
  %y = memref.alloc() : memref<8x16xf32>
  call @fill(%x) : (memref<8x16xf32>) -> ()
  dlc.contract %h, %w extras %x : memref<8x16xf32> outs %y [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  call @read(%x) : (memref<8x16xf32>) -> ()
  call @read(%y) : (memref<8x16xf32>) -> ()
  return
}
func.func private @fill(memref<8x16xf32>)
func.func private @read(memref<8x16xf32>)

// -----

// What a loop reads later stays.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.alloc()
// CHECK: %[[Y:.*]] = memref.alloc()
// CHECK: dlc.contract %{{.*}} extras %[[X]] : {{.*}} outs %[[Y]]
func.func @main(%h: memref<8x16xf32>, %w: memref<16x16xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.alloc() : memref<8x16xf32>
  %y = memref.alloc() : memref<8x16xf32>
  call @fill(%x) : (memref<8x16xf32>) -> ()
  dlc.contract %h, %w extras %x : memref<8x16xf32> outs %y [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  scf.for %i = %c0 to %n step %c1 {
    func.call @read(%x) : (memref<8x16xf32>) -> ()
  }
  call @read(%y) : (memref<8x16xf32>) -> ()
  return
}
func.func private @fill(memref<8x16xf32>)
func.func private @read(memref<8x16xf32>)

// -----

// Rows of A are read again for other columns of the same results.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.alloc()
// CHECK: %[[Y:.*]] = memref.alloc()
// CHECK: dlc.contract %{{.*}} extras %[[X]] : {{.*}} outs %[[Y]]
func.func @main(%w: memref<16x16xf32>) {
  %x = memref.alloc() : memref<8x16xf32>
  %y = memref.alloc() : memref<8x16xf32>
  call @fill(%x) : (memref<8x16xf32>) -> ()
  dlc.contract %x, %w extras %x : memref<8x16xf32> outs %y [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  call @read(%y) : (memref<8x16xf32>) -> ()
  return
}
func.func private @fill(memref<8x16xf32>)
func.func private @read(memref<8x16xf32>)

// -----

// The element of another place is read.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
#t = affine_map<(m, n, k) -> (n, m)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.alloc()
// CHECK: %[[Y:.*]] = memref.alloc()
// CHECK: dlc.contract %{{.*}} extras %[[X]] : {{.*}} outs %[[Y]]
func.func @main(%h: memref<16x16xf32>, %w: memref<16x16xf32>) {
  %x = memref.alloc() : memref<16x16xf32>
  %y = memref.alloc() : memref<16x16xf32>
  call @fill(%x) : (memref<16x16xf32>) -> ()
  dlc.contract %h, %w extras %x : memref<16x16xf32> outs %y [#a, #b, #t, #c] : memref<16x16xf32>, memref<16x16xf32>, memref<16x16xf32> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  call @read(%y) : (memref<16x16xf32>) -> ()
  return
}
func.func private @fill(memref<16x16xf32>)
func.func private @read(memref<16x16xf32>)

// -----

// The results' buffer is in use before.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.alloc()
// CHECK: %[[Y:.*]] = memref.alloc()
// CHECK: dlc.contract %{{.*}} extras %[[X]] : {{.*}} outs %[[Y]]
func.func @main(%h: memref<8x16xf32>, %w: memref<16x16xf32>) {
  %x = memref.alloc() : memref<8x16xf32>
  %y = memref.alloc() : memref<8x16xf32>
  call @fill(%x) : (memref<8x16xf32>) -> ()
  call @fill(%y) : (memref<8x16xf32>) -> ()
  dlc.contract %y, %w outs %h [#a, #b, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  dlc.contract %h, %w extras %x : memref<8x16xf32> outs %y [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  call @read(%y) : (memref<8x16xf32>) -> ()
  return
}
func.func private @fill(memref<8x16xf32>)
func.func private @read(memref<8x16xf32>)

// -----

// Tiles of bfloat16 may overlap.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.alloc()
// CHECK: %[[Y:.*]] = memref.alloc()
// CHECK: dlc.contract %{{.*}} extras %[[X]] : {{.*}} outs %[[Y]]
func.func @main(%h: memref<8x16xbf16>, %w: memref<16x16xbf16>) {
  %x = memref.alloc() : memref<8x16xf32>
  %y = memref.alloc() : memref<8x16xf32>
  call @fill(%x) : (memref<8x16xf32>) -> ()
  dlc.contract %h, %w extras %x : memref<8x16xf32> outs %y [#a, #b, #c, #c] : memref<8x16xbf16>, memref<16x16xbf16>, memref<8x16xf32> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  call @read(%y) : (memref<8x16xf32>) -> ()
  return
}
func.func private @fill(memref<8x16xf32>)
func.func private @read(memref<8x16xf32>)

// -----

// Buffers of other shapes, which are used as a whole.
// REMARK: remark: {{.*}}written where an operand of its epilogue was: a buffer of 512 bytes less
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.alloc() : memref<1x8x16xf32>
// CHECK: %[[FLAT:.*]] = memref.collapse_shape %[[X]]
// CHECK: %[[WHOLE:.*]] = memref.expand_shape %[[FLAT]]
// CHECK: dlc.contract %{{.*}} extras %[[FLAT]] : {{.*}} outs %[[FLAT]]
// CHECK: call @read(%[[WHOLE]])
func.func @main(%h: memref<8x16xf32>, %w: memref<16x16xf32>) {
  %y = memref.alloc() : memref<8x16xf32>
  %whole = memref.expand_shape %y [[0, 1], [2]] output_shape [1, 8, 16] : memref<8x16xf32> into memref<1x8x16xf32>
  %x = memref.alloc() : memref<1x8x16xf32>
  call @fill(%x) : (memref<1x8x16xf32>) -> ()
  %flat = memref.collapse_shape %x [[0, 1], [2]] : memref<1x8x16xf32> into memref<8x16xf32>
  dlc.contract %h, %w extras %flat : memref<8x16xf32> outs %y [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  call @read(%whole) : (memref<1x8x16xf32>) -> ()
  return
}
func.func private @fill(memref<1x8x16xf32>)
func.func private @read(memref<1x8x16xf32>)

// -----

// Borders of the same are filled once, and count beside the tensors.
// REMARK: remark: {{.*}}written where an operand of its epilogue was: a buffer of 640 bytes less
// PLAN: dlc.live_bytes = array<i64: 1024, 512, 640, 640>, dlc.workspace = 640
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.alloc() : memref<10x16xf32>
// CHECK: %[[INNER:.*]] = memref.subview %[[X]][1, 0] [8, 16]
// CHECK-COUNT-2: linalg.fill
// CHECK-NOT: linalg.fill
// CHECK: dlc.contract %{{.*}} extras %[[INNER]] : {{.*}} outs %[[INNER]]
// CHECK: linalg.copy ins(%[[X]]
func.func @main(%h: memref<8x16xf32>, %w: memref<16x16xf32>, %o: memref<10x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %x = memref.alloc() : memref<10x16xf32>
  %x_top = memref.subview %x[0, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %x_bottom = memref.subview %x[9, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1], offset: 144>>
  %x_inner = memref.subview %x[1, 0] [8, 16] [1, 1] : memref<10x16xf32> to memref<8x16xf32, strided<[16, 1], offset: 16>>
  linalg.fill ins(%zero : f32) outs(%x_top : memref<1x16xf32, strided<[16, 1]>>)
  linalg.fill ins(%zero : f32) outs(%x_bottom : memref<1x16xf32, strided<[16, 1], offset: 144>>)
  %y = memref.alloc() : memref<10x16xf32>
  %y_top = memref.subview %y[0, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %y_bottom = memref.subview %y[9, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1], offset: 144>>
  %y_inner = memref.subview %y[1, 0] [8, 16] [1, 1] : memref<10x16xf32> to memref<8x16xf32, strided<[16, 1], offset: 16>>
  linalg.fill ins(%zero : f32) outs(%y_top : memref<1x16xf32, strided<[16, 1]>>)
  linalg.fill ins(%zero : f32) outs(%y_bottom : memref<1x16xf32, strided<[16, 1], offset: 144>>)
  call @fill(%x_inner) : (memref<8x16xf32, strided<[16, 1], offset: 16>>) -> ()
  linalg.copy ins(%x : memref<10x16xf32>) outs(%o : memref<10x16xf32>)
  dlc.contract %h, %w extras %x_inner : memref<8x16xf32, strided<[16, 1], offset: 16>> outs %y_inner [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32, strided<[16, 1], offset: 16>> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  linalg.copy ins(%y : memref<10x16xf32>) outs(%o : memref<10x16xf32>)
  return
}
func.func private @fill(memref<8x16xf32, strided<[16, 1], offset: 16>>)

// -----

// A pool's border is another than a convolution's.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.subview {{.*}}[1, 0] [8, 16]
// CHECK: %[[Y:.*]] = memref.subview {{.*}}[1, 0] [8, 16]
// CHECK: dlc.contract %{{.*}} extras %[[X]] : {{.*}} outs %[[Y]]
func.func @main(%h: memref<8x16xf32>, %w: memref<16x16xf32>, %o: memref<10x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %x = memref.alloc() : memref<10x16xf32>
  %x_top = memref.subview %x[0, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %x_bottom = memref.subview %x[9, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1], offset: 144>>
  %x_inner = memref.subview %x[1, 0] [8, 16] [1, 1] : memref<10x16xf32> to memref<8x16xf32, strided<[16, 1], offset: 16>>
  linalg.fill ins(%low : f32) outs(%x_top : memref<1x16xf32, strided<[16, 1]>>)
  linalg.fill ins(%low : f32) outs(%x_bottom : memref<1x16xf32, strided<[16, 1], offset: 144>>)
  %y = memref.alloc() : memref<10x16xf32>
  %y_top = memref.subview %y[0, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %y_bottom = memref.subview %y[9, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1], offset: 144>>
  %y_inner = memref.subview %y[1, 0] [8, 16] [1, 1] : memref<10x16xf32> to memref<8x16xf32, strided<[16, 1], offset: 16>>
  linalg.fill ins(%zero : f32) outs(%y_top : memref<1x16xf32, strided<[16, 1]>>)
  linalg.fill ins(%zero : f32) outs(%y_bottom : memref<1x16xf32, strided<[16, 1], offset: 144>>)
  call @fill(%x_inner) : (memref<8x16xf32, strided<[16, 1], offset: 16>>) -> ()
  linalg.copy ins(%x : memref<10x16xf32>) outs(%o : memref<10x16xf32>)
  dlc.contract %h, %w extras %x_inner : memref<8x16xf32, strided<[16, 1], offset: 16>> outs %y_inner [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32, strided<[16, 1], offset: 16>> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  linalg.copy ins(%y : memref<10x16xf32>) outs(%o : memref<10x16xf32>)
  return
}
func.func private @fill(memref<8x16xf32, strided<[16, 1], offset: 16>>)

// -----

// So is none at all.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.subview {{.*}}[1, 0] [8, 16]
// CHECK: %[[Y:.*]] = memref.subview {{.*}}[1, 0] [8, 16]
// CHECK: dlc.contract %{{.*}} extras %[[X]] : {{.*}} outs %[[Y]]
func.func @main(%h: memref<8x16xf32>, %w: memref<16x16xf32>, %o: memref<10x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %x = memref.alloc() : memref<10x16xf32>
  %x_top = memref.subview %x[0, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %x_bottom = memref.subview %x[9, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1], offset: 144>>
  %x_inner = memref.subview %x[1, 0] [8, 16] [1, 1] : memref<10x16xf32> to memref<8x16xf32, strided<[16, 1], offset: 16>>
  %y = memref.alloc() : memref<10x16xf32>
  %y_top = memref.subview %y[0, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %y_bottom = memref.subview %y[9, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1], offset: 144>>
  %y_inner = memref.subview %y[1, 0] [8, 16] [1, 1] : memref<10x16xf32> to memref<8x16xf32, strided<[16, 1], offset: 16>>
  linalg.fill ins(%zero : f32) outs(%y_top : memref<1x16xf32, strided<[16, 1]>>)
  linalg.fill ins(%zero : f32) outs(%y_bottom : memref<1x16xf32, strided<[16, 1], offset: 144>>)
  call @fill(%x_inner) : (memref<8x16xf32, strided<[16, 1], offset: 16>>) -> ()
  linalg.copy ins(%x : memref<10x16xf32>) outs(%o : memref<10x16xf32>)
  dlc.contract %h, %w extras %x_inner : memref<8x16xf32, strided<[16, 1], offset: 16>> outs %y_inner [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32, strided<[16, 1], offset: 16>> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  linalg.copy ins(%y : memref<10x16xf32>) outs(%o : memref<10x16xf32>)
  return
}
func.func private @fill(memref<8x16xf32, strided<[16, 1], offset: 16>>)

// -----

// Something wrote over the operand's border.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.subview {{.*}}[1, 0] [8, 16]
// CHECK: %[[Y:.*]] = memref.subview {{.*}}[1, 0] [8, 16]
// CHECK: dlc.contract %{{.*}} extras %[[X]] : {{.*}} outs %[[Y]]
func.func @main(%h: memref<8x16xf32>, %w: memref<16x16xf32>, %o: memref<10x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %x = memref.alloc() : memref<10x16xf32>
  %x_top = memref.subview %x[0, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %x_bottom = memref.subview %x[9, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1], offset: 144>>
  %x_inner = memref.subview %x[1, 0] [8, 16] [1, 1] : memref<10x16xf32> to memref<8x16xf32, strided<[16, 1], offset: 16>>
  linalg.fill ins(%zero : f32) outs(%x_top : memref<1x16xf32, strided<[16, 1]>>)
  linalg.fill ins(%zero : f32) outs(%x_bottom : memref<1x16xf32, strided<[16, 1], offset: 144>>)
  %y = memref.alloc() : memref<10x16xf32>
  %y_top = memref.subview %y[0, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %y_bottom = memref.subview %y[9, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1], offset: 144>>
  %y_inner = memref.subview %y[1, 0] [8, 16] [1, 1] : memref<10x16xf32> to memref<8x16xf32, strided<[16, 1], offset: 16>>
  linalg.fill ins(%zero : f32) outs(%y_top : memref<1x16xf32, strided<[16, 1]>>)
  linalg.fill ins(%zero : f32) outs(%y_bottom : memref<1x16xf32, strided<[16, 1], offset: 144>>)
  call @fill(%x_inner) : (memref<8x16xf32, strided<[16, 1], offset: 16>>) -> ()
  linalg.copy ins(%x : memref<10x16xf32>) outs(%o : memref<10x16xf32>)
  linalg.fill ins(%low : f32) outs(%x : memref<10x16xf32>)
  call @fill(%x_inner) : (memref<8x16xf32, strided<[16, 1], offset: 16>>) -> ()
  dlc.contract %h, %w extras %x_inner : memref<8x16xf32, strided<[16, 1], offset: 16>> outs %y_inner [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32, strided<[16, 1], offset: 16>> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  linalg.copy ins(%y : memref<10x16xf32>) outs(%o : memref<10x16xf32>)
  return
}
func.func private @fill(memref<8x16xf32, strided<[16, 1], offset: 16>>)

// -----

// One border is filled twice: the last filling counts.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: @main
// CHECK: %[[X:.*]] = memref.subview {{.*}}[1, 0] [8, 16]
// CHECK: %[[Y:.*]] = memref.subview {{.*}}[1, 0] [8, 16]
// CHECK: dlc.contract %{{.*}} extras %[[X]] : {{.*}} outs %[[Y]]
func.func @main(%h: memref<8x16xf32>, %w: memref<16x16xf32>, %o: memref<10x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %x = memref.alloc() : memref<10x16xf32>
  %x_top = memref.subview %x[0, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %x_inner = memref.subview %x[1, 0] [8, 16] [1, 1] : memref<10x16xf32> to memref<8x16xf32, strided<[16, 1], offset: 16>>
  linalg.fill ins(%zero : f32) outs(%x_top : memref<1x16xf32, strided<[16, 1]>>)
  linalg.fill ins(%low : f32) outs(%x_top : memref<1x16xf32, strided<[16, 1]>>)
  %y = memref.alloc() : memref<10x16xf32>
  %y_top = memref.subview %y[0, 0] [1, 16] [1, 1] : memref<10x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %y_inner = memref.subview %y[1, 0] [8, 16] [1, 1] : memref<10x16xf32> to memref<8x16xf32, strided<[16, 1], offset: 16>>
  linalg.fill ins(%low : f32) outs(%y_top : memref<1x16xf32, strided<[16, 1]>>)
  linalg.fill ins(%zero : f32) outs(%y_top : memref<1x16xf32, strided<[16, 1]>>)
  call @fill(%x_inner) : (memref<8x16xf32, strided<[16, 1], offset: 16>>) -> ()
  dlc.contract %h, %w extras %x_inner : memref<8x16xf32, strided<[16, 1], offset: 16>> outs %y_inner [#a, #b, #c, #c] : memref<8x16xf32>, memref<16x16xf32>, memref<8x16xf32, strided<[16, 1], offset: 16>> {
  ^bb0(%s: f32, %r: f32):
    %0 = arith.addf %s, %r : f32
    dlc.yield %0 : f32
  }
  linalg.copy ins(%y : memref<10x16xf32>) outs(%o : memref<10x16xf32>)
  return
}
func.func private @fill(memref<8x16xf32, strided<[16, 1], offset: 16>>)
