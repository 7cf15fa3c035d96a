// RUN: dlc-opt --dlc-plan-memory %s | FileCheck %s

// Buffers that do not live together share memory; 64-byte places.
// CHECK: dlc.workspace = 2048
// CHECK-LABEL: @main
func.func @main(%run: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : i32
  // CHECK: dlc.arena 0
  // CHECK: dlc.arena 1024
  // CHECK: dlc.arena 0
  %a = memref.alloc() : memref<256xf32>
  %b = memref.alloc() : memref<256xf32>
  call @kernel(%a, %b) : (memref<256xf32>, memref<256xf32>) -> ()
  %c = memref.alloc() : memref<256xf32>
  call @kernel(%b, %c) : (memref<256xf32>, memref<256xf32>) -> ()
  return %c0 : i32
}
func.func private @kernel(memref<256xf32>, memref<256xf32>)
