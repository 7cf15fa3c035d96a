// RUN: dlc-opt %s --dlc-expand-math=rounds | FileCheck %s
// RUN: dlc-opt %s --dlc-expand-math | FileCheck %s --check-prefix=INTEGERS

// An instruction takes subnormal numbers as zeros, which `afn` allows.
// CHECK-LABEL: @approximate
// CHECK: llvm.fptrunc %arg0 : vector<16xf32> to vector<16xbf16>
// INTEGERS-LABEL: @approximate
// INTEGERS-NOT: fptrunc
// INTEGERS: arith.shrui
func.func @approximate(%x: vector<16xf32>) -> vector<16xbf16> {
  %0 = arith.truncf %x fastmath<afn> : vector<16xf32> to vector<16xbf16>
  return %0 : vector<16xbf16>
}

// CHECK-LABEL: @exact
// CHECK-NOT: fptrunc
// CHECK: arith.shrui
func.func @exact(%x: vector<16xf32>) -> vector<16xbf16> {
  %0 = arith.truncf %x : vector<16xf32> to vector<16xbf16>
  return %0 : vector<16xbf16>
}
