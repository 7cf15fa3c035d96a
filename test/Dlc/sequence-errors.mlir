// RUN: dlc-opt %s -split-input-file -verify-diagnostics

func.func @f() {
  // expected-error @below {{'dlc.strings' op expected a tensor of strings, found 'tensor<1xf32>'}}
  %0 = dlc.strings ["a"] : tensor<1xf32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{'dlc.strings' op expected 2 strings, found 1}}
  %0 = dlc.strings ["a"] : tensor<2x!dlc.string>
  return
}

// -----

func.func @f() {
  // expected-error @below {{'dlc.strings' op expected a list of strings}}
  %0 = dlc.strings [1] : tensor<1x!dlc.string>
  return
}

// -----

func.func @f(%x: tensor<2xf64>) {
  // expected-error @below {{'dlc.sequence' op expected tensors of 'f32', found 'tensor<2xf64>'}}
  %0 = dlc.sequence %x : tensor<2xf64> -> !dlc.seq<f32>
  return
}

// -----

func.func @f(%x: tensor<2xf32>) {
  // expected-error @below {{'dlc.sequence' op expected no tensors in an absent sequence}}
  %0 = dlc.sequence %x {absent} : tensor<2xf32> -> !dlc.seq<f32>
  return
}
