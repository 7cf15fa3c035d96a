// RUN: dlc-opt %s -dlc-lower-contract="vector-bytes=64 registers=32 dot=amx dot-bytes=64 pairs=tdpbf16ps" -canonicalize -cse | FileCheck %s --implicit-check-not=dlc.contract
// RUN: dlc-opt %s -dlc-lower-contract="vector-bytes=64 registers=32 dot=vnni dot-bytes=64 pairs=vdpbf16ps" -canonicalize -cse | FileCheck %s --check-prefix=VECTORS --implicit-check-not=llvm.x86.t

#a = affine_map<(m, n, k) -> (m, k)>
#c = affine_map<(m, n, k) -> (m, n)>

// Two tiles of 16 rows by two of 16 columns, a step of 64 bytes at a time: the
// shapes, the sums of the block before and the first step, the other steps.
// CHECK-LABEL: @bytes
// VECTORS-LABEL: @bytes
// CHECK: llvm.call_intrinsic "llvm.x86.ldtilecfg"
// CHECK: scf.for
// CHECK: scf.if
// CHECK: llvm.call_intrinsic "llvm.x86.tileloaddt164"
// CHECK: } else {
// CHECK: llvm.call_intrinsic "llvm.x86.tileloadd64"
// CHECK: llvm.call_intrinsic "llvm.x86.tilestored64"
// CHECK: llvm.call_intrinsic "llvm.x86.tilezero"
// CHECK: llvm.call_intrinsic "llvm.x86.tdpbusd"
// CHECK-COUNT-3: llvm.call_intrinsic "llvm.x86.tdpbusd"
// CHECK: scf.for
// CHECK-NOT: tilestored64
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.tdpbusd"
// CHECK: llvm.call_intrinsic "llvm.x86.tilestored64"
// CHECK: vector.store
// CHECK: llvm.call_intrinsic "llvm.x86.tilerelease"
// VECTORS: vpdpbusd
func.func @bytes(%x: memref<64x256xi8>, %w: memref<2x64x32x4xi8>, %o: memref<64x64xi32>) {
  dlc.contract %x, %w outs %o
      [#a, affine_map<(m, n, k) -> (n floordiv 32, k floordiv 4, n mod 32, k mod 4)>, #c]
      {aUnsigned, dot = #dlc.dot<flip = false, group = 4, extent = 256>}
      : memref<64x256xi8>, memref<2x64x32x4xi8>, memref<64x64xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return
}

// No block of rows follows that would read B again.
// CHECK-LABEL: @one_pair
// VECTORS-LABEL: @one_pair
// CHECK: scf.for
// CHECK-NOT: scf.if
// CHECK: llvm.call_intrinsic "llvm.x86.tileloadd64"
// CHECK: llvm.call_intrinsic "llvm.x86.tileloaddt164"
// CHECK: llvm.call_intrinsic "llvm.x86.tdpbusd"
// CHECK: llvm.x86.tilerelease
func.func @one_pair(%x: memref<32x256xi8>, %w: memref<2x64x32x4xi8>, %o: memref<32x64xi32>) {
  dlc.contract %x, %w outs %o
      [#a, affine_map<(m, n, k) -> (n floordiv 32, k floordiv 4, n mod 32, k mod 4)>, #c]
      {aUnsigned, dot = #dlc.dot<flip = false, group = 4, extent = 256>}
      : memref<32x256xi8>, memref<2x64x32x4xi8>, memref<32x64xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return
}

// Signed bytes too, and pairs; the rest of a sum is copied, with zeros behind.
// CHECK-LABEL: @rest
// VECTORS-LABEL: @rest
// CHECK-NOT: tileloaddt164
// CHECK: vector.maskedload
// CHECK: "llvm.x86.tdpbssd"
func.func @rest(%x: memref<64x30xi8>, %w: memref<2x8x32x4xi8>, %o: memref<64x64xi32>) {
  dlc.contract %x, %w outs %o
      [#a, affine_map<(m, n, k) -> (n floordiv 32, k floordiv 4, n mod 32, k mod 4)>, #c]
      {dot = #dlc.dot<flip = false, group = 4, extent = 30>}
      : memref<64x30xi8>, memref<2x8x32x4xi8>, memref<64x64xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return
}

// CHECK-LABEL: @pairs
// VECTORS-LABEL: @pairs
// CHECK-NOT: vector.maskedload
// CHECK: "llvm.x86.tdpbf16ps"
// VECTORS: dpbf16ps
func.func @pairs(%x: memref<?x64xbf16>, %w: memref<2x32x32x2xbf16>, %o: memref<?x64xf32>) {
  dlc.contract %x, %w outs %o
      [#a, affine_map<(m, n, k) -> (n floordiv 32, k floordiv 2, n mod 32, k mod 2)>, #c]
      {dot = #dlc.dot<flip = false, group = 2, extent = 64>}
      : memref<?x64xbf16>, memref<2x32x32x2xbf16>, memref<?x64xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return
}

// Few rows stay with vectors, and bytes whose sign is to be turned.
// CHECK-LABEL: @few
// CHECK-NOT: llvm.x86.t
// CHECK: vpdpbusd
// CHECK-LABEL: @flipped
// CHECK-NOT: llvm.x86.t
// CHECK: vpdpbusd
func.func @few(%x: memref<4x256xi8>, %w: memref<2x64x32x4xi8>, %o: memref<4x64xi32>) {
  dlc.contract %x, %w outs %o
      [#a, affine_map<(m, n, k) -> (n floordiv 32, k floordiv 4, n mod 32, k mod 4)>, #c]
      {aUnsigned, dot = #dlc.dot<flip = false, group = 4, extent = 256>}
      : memref<4x256xi8>, memref<2x64x32x4xi8>, memref<4x64xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return
}
func.func @flipped(%x: memref<64x256xi8>, %w: memref<2x64x32x4xi8>, %o: memref<64x64xi32>) {
  dlc.contract %x, %w outs %o
      [#a, affine_map<(m, n, k) -> (n floordiv 32, k floordiv 4, n mod 32, k mod 4)>, #c]
      {aUnsigned, dot = #dlc.dot<flip = true, group = 4, extent = 256>}
      : memref<64x256xi8>, memref<2x64x32x4xi8>, memref<64x64xi32> {
  ^bb0(%s: i32):
    dlc.yield %s : i32
  }
  return
}
