// RUN: dlc-opt %s --dlc-convert-to-llvm | FileCheck %s

// One element is stored as a scalar: LLVM's X86 backend stores more than it.

// CHECK-LABEL: llvm.func @first
// CHECK: %[[X:.*]] = llvm.extractelement %{{.*}} : vector<16xi8>
// CHECK: llvm.store %[[X]], %{{.*}} : i8, !llvm.ptr
// CHECK-NOT: masked.store
func.func @first(%x: vector<16xi8>, %m: memref<40xi8>, %i: index) {
  %mask = arith.constant dense<[true, false, false, false, false, false, false, false,
                                false, false, false, false, false, false, false, false]> : vector<16xi1>
  vector.maskedstore %m[%i], %mask, %x : memref<40xi8>, vector<16xi1>, vector<16xi8>
  return
}

// CHECK-LABEL: llvm.func @two
// CHECK: llvm.intr.masked.store
func.func @two(%x: vector<4xi8>, %m: memref<40xi8>, %i: index) {
  %mask = arith.constant dense<[true, true, false, false]> : vector<4xi1>
  vector.maskedstore %m[%i], %mask, %x : memref<40xi8>, vector<4xi1>, vector<4xi8>
  return
}

// CHECK-LABEL: llvm.func @unknown
// CHECK: llvm.intr.masked.store
func.func @unknown(%x: vector<4xi8>, %mask: vector<4xi1>, %m: memref<40xi8>, %i: index) {
  vector.maskedstore %m[%i], %mask, %x : memref<40xi8>, vector<4xi1>, vector<4xi8>
  return
}
