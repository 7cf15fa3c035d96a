// RUN: dlc-opt %s -split-input-file -verify-diagnostics

func.func @keys(%k: tensor<2xi64>, %v: tensor<?x2xf32>) {
  // expected-error@+1 {{expected keys and values of '!dlc.map<!dlc.string, f32>', found 'tensor<2xi64>' and 'tensor<?x2xf32>'}}
  %0 = dlc.maps %k, %v : tensor<2xi64>, tensor<?x2xf32> -> !dlc.map<!dlc.string, f32>
  return
}

// -----

func.func @values(%k: tensor<2xi64>, %v: tensor<?x2x!dlc.string>) {
  // expected-error@+1 {{expected values that are numbers}}
  %0 = dlc.maps %k, %v : tensor<2xi64>, tensor<?x2x!dlc.string> -> !dlc.map<i64, !dlc.string>
  return
}
