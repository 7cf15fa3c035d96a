// RUN: dlc-opt %s -split-input-file -verify-diagnostics

func.func @name(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{'dlc.extern' op expected the name of a function, found ""}}
  %0 = dlc.extern "" ins(%x : tensor<4xf32>) outs(%x : tensor<4xf32>) with "{}" -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @results(%x: tensor<4xf32>) {
  // expected-error @below {{'dlc.extern' op expected 1 results, found 0}}
  dlc.extern "f" ins(%x : tensor<4xf32>) outs(%x : tensor<4xf32>) with "{}"
  return
}

// -----

func.func @mixed(%x: tensor<4xf32>, %y: memref<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{'dlc.extern' op expected tensors or buffers only, found both}}
  %0 = dlc.extern "f" ins(%y : memref<4xf32>) outs(%x : tensor<4xf32>) with "{}" -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
