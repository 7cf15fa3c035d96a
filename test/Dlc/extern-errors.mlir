// RUN: dlc-opt %s -split-input-file -verify-diagnostics

func.func @name(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{'dlc.extern' op expected the name of a function, found ""}}
  %0 = dlc.extern "" ins(%x : tensor<4xf32>) outs(%x : tensor<4xf32>) with "{}" -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @results(%x: tensor<4xf32>) {
  // expected-error @below {{'dlc.extern' op expected 1 result for tensors, found 0}}
  dlc.extern "f" ins(%x : tensor<4xf32>) outs(%x : tensor<4xf32>) with "{}"
  return
}

// -----

func.func @mixed(%x: tensor<4xf32>, %y: memref<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{'dlc.extern' op expected all operands to be tensors or all memrefs, found operand 0 of 'memref<4xf32>'}}
  %0 = dlc.extern "f" ins(%y : memref<4xf32>) outs(%x : tensor<4xf32>) with "{}" -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
