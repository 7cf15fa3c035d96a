// RUN: dlc-opt %s --dlc-place-on-device --verify-diagnostics

// Functions of the program follow their pointers, which must not lead to the
// GPU's memory. All are named.
func.func @main(%run: !llvm.ptr) -> i32 {
  %x = dlc.input 0 : memref<4xf32>
  %y = dlc.output 0 : memref<4xf32>
  %z = dlc.output 1 : memref<4xf32>
  // expected-error @below {{not supported for a GPU: computed by a function of the host (strings, sequences, extern operators)}}
  dlc.extern "first" ins(%x : memref<4xf32>) outs(%y : memref<4xf32>) with "{}"
  // expected-error @below {{not supported for a GPU: computed by a function of the host (strings, sequences, extern operators)}}
  dlc.extern "second" ins(%x : memref<4xf32>) outs(%z : memref<4xf32>) with "{}"
  %s = arith.constant 0 : i32
  return %s : i32
}
