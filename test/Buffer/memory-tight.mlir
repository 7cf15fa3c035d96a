// RUN: dlc-opt --dlc-plan-memory -split-input-file %s | FileCheck %s

// With the largest buffers first, b lies above a and e, and c above b: 704
// bytes. What lies highest is placed first then, and all fit in the 640 that
// live at a time.
// CHECK: dlc.live_bytes = array<i64: 640, 640, 640, 640>, dlc.workspace = 640
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  %a = memref.alloc() : memref<80xf32>
  %b = memref.alloc() : memref<48xf32>
  %c = memref.alloc() : memref<32xf32>
  %d = memref.alloc() : memref<16xf32>
  %e = memref.alloc() : memref<80xf32>
  call @a(%a) : (memref<80xf32>) -> ()
  call @b(%b) : (memref<48xf32>) -> ()
  call @ac(%a, %c) : (memref<80xf32>, memref<32xf32>) -> ()
  call @bcd(%b, %c, %d) : (memref<48xf32>, memref<32xf32>, memref<16xf32>) -> ()
  call @a(%e) : (memref<80xf32>) -> ()
  call @de(%d, %e) : (memref<16xf32>, memref<80xf32>) -> ()
  return %c0 : i32
}
func.func private @a(memref<80xf32>)
func.func private @b(memref<48xf32>)
func.func private @ac(memref<80xf32>, memref<32xf32>)
func.func private @bcd(memref<48xf32>, memref<32xf32>, memref<16xf32>)
func.func private @de(memref<16xf32>, memref<80xf32>)

// -----

// Borders count against the plan, and so does scratch. The inner part is
// filled, too, before a sum goes there: that is no border.
// CHECK: dlc.live_bytes = array<i64: 256, 256, 384, 640>, dlc.workspace = 640
#id = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>
func.func @main(%run: !llvm.ptr, %w: memref<16x4xf32>, %out: memref<6x4xf32>) -> i32 {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %a = memref.alloc() : memref<6x16xf32>
  %top = memref.subview %a[0, 0] [1, 16] [1, 1] : memref<6x16xf32> to memref<1x16xf32, strided<[16, 1]>>
  %bottom = memref.subview %a[5, 0] [1, 16] [1, 1] : memref<6x16xf32> to memref<1x16xf32, strided<[16, 1], offset: 80>>
  %inner = memref.subview %a[1, 0] [4, 16] [1, 1] : memref<6x16xf32> to memref<4x16xf32, strided<[16, 1], offset: 16>>
  linalg.fill ins(%zero : f32) outs(%top : memref<1x16xf32, strided<[16, 1]>>)
  linalg.fill ins(%zero : f32) outs(%bottom : memref<1x16xf32, strided<[16, 1], offset: 80>>)
  linalg.fill ins(%zero : f32) outs(%inner : memref<4x16xf32, strided<[16, 1], offset: 16>>)
  call @sum(%inner) : (memref<4x16xf32, strided<[16, 1], offset: 16>>) -> ()
  %s = memref.alloc() : memref<64xf32>
  dlc.contract %a, %w outs %out scratch %s : memref<64xf32> [#id, #b, #c]
      : memref<6x16xf32>, memref<16x4xf32>, memref<6x4xf32> {
  ^bb0(%x: f32):
    dlc.yield %x : f32
  }
  return %c0 : i32
}
func.func private @sum(memref<4x16xf32, strided<[16, 1], offset: 16>>)
