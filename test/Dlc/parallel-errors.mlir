// RUN: dlc-opt %s --split-input-file --verify-diagnostics

func.func @region(%n: index) {
  // expected-error @+1 {{'dlc.parallel' op expected a region with the arguments (index, index, !llvm.ptr, index), found 'index'}}
  dlc.parallel %n grain 1 {
  ^bb0(%first: index):
    dlc.yield
  }
  return
}

// -----

func.func @grain(%n: index) {
  // expected-error @+1 {{attribute 'grain' failed to satisfy constraint}}
  dlc.parallel %n grain 0 {
  ^bb0(%first: index, %end: index, %own: !llvm.ptr, %since: index):
    dlc.yield
  }
  return
}

// -----

func.func @callee(%n: index) {
  // expected-error @+1 {{'dlc.fork' op expected a function of the name 'kernel'}}
  dlc.fork @kernel() units %n grain 1
  return
}

// -----

func.func private @kernel(memref<4xf32>)
func.func @types(%n: index, %a: memref<4xf32>) {
  // expected-error @+1 {{'dlc.fork' op expected the types of its operands, index, index, !llvm.ptr and index as the arguments of 'kernel', found '(memref<4xf32>) -> ()'}}
  dlc.fork @kernel(%a) units %n grain 1 : memref<4xf32>
  return
}
