// A convolution without the form that is asked for says why, and the model says
// once that none has it.
// RUN: dlc-opt %s -dlc-choose-convolution="form=winograd-9x9 lanes=16" --remark-format=emitRemark --remarks-filter=".*" -o /dev/null 2>&1 | FileCheck %s --check-prefix=LARGE --implicit-check-not=error
// RUN: dlc-opt %s -dlc-choose-convolution="form=winograd lanes=16" --remark-format=emitRemark --remarks-filter=".*" -o /dev/null 2>&1 | FileCheck %s --check-prefix=ANY --implicit-check-not=warning
// RUN: dlc-opt %s -dlc-choose-convolution="form=fft-7x7 lanes=16" --remark-format=emitRemark --remarks-filter=".*" -o /dev/null 2>&1 | FileCheck %s --check-prefix=FFT
// RUN: dlc-opt %s -dlc-choose-convolution="form=winograd-9x9 lanes=16" -o /dev/null 2>&1 | FileCheck %s --check-prefix=QUIET --implicit-check-not=remark
// RUN: dlc-opt %s -dlc-choose-convolution="form=auto lanes=16" --remark-format=emitRemark --remarks-filter=".*" -o /dev/null 2>&1 | FileCheck %s --check-prefix=AUTO --implicit-check-not=warning --implicit-check-not="there is no" --allow-empty
// RUN: dlc-opt %s -dlc-choose-convolution="form=winograd-9x9 lanes=16 mark" --remark-format=emitRemark --remarks-filter=".*" -o /dev/null 2>&1 | FileCheck %s --check-prefix=AUTO --implicit-check-not=warning --implicit-check-not="there is no" --allow-empty

// AUTO-NOT: error
// QUIET: warning: no convolution has the form 'winograd-9x9': all are direct (--remarks=dlc-choose-convolution says why)
// QUIET-NOT: warning

#a = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky, x + kx, i)>
#s = affine_map<(n, y, x, o, ky, kx, i) -> (n, y * 2 + ky, x * 2 + kx, i)>
#d = affine_map<(n, y, x, o, ky, kx, i) -> (n, y + ky * 2, x + kx * 2, i)>
#b = affine_map<(n, y, x, o, ky, kx, i) -> (ky, kx, i, o)>
#c = affine_map<(n, y, x, o, ky, kx, i) -> (n, y, x, o)>
#ga = affine_map<(n, y, x, g, o, ky, kx, i) -> (n, y + ky, x + kx, g + i)>
#gb = affine_map<(n, y, x, g, o, ky, kx, i) -> (ky, kx, i, g, o)>
#gc = affine_map<(n, y, x, g, o, ky, kx, i) -> (n, y, x, g, o)>

// LARGE: loc("plain"): {{.*}}direct: there is no winograd-9x9, since a tile has at most 8 x 8 inputs, and the window is 3 x 3
// FFT: loc("plain"): {{.*}}direct: there is no fft-7x7, since a tile has a power of two of inputs along each side, more than the window's 3 x 3, and at most 32
func.func @maps(%x: tensor<1x17x17x8xf32>, %v: tensor<3x3x8x8xf32>, %xd: tensor<1x10x10x8xf64>, %e: tensor<1x8x8x8xf32>,
    %ed: tensor<1x8x8x8xf64>, %xs: tensor<1x10x10x8xf32>, %xt: tensor<1x12x12x8xf32>, %x1: tensor<1x8x8x8xf32>,
    %eg: tensor<1x8x8x8x1xf32>) {
  %w = arith.constant dense<1.0> : tensor<3x3x8x8xf32>
  %wd = arith.constant dense<1.0> : tensor<3x3x8x8xf64>
  %w1 = arith.constant dense<1.0> : tensor<1x1x8x8xf32>
  %wg = arith.constant dense<1.0> : tensor<3x3x1x8x1xf32>
  %0 = dlc.contract %xs, %w outs %e [#a, #b, #c] : tensor<1x10x10x8xf32>, tensor<3x3x8x8xf32>, tensor<1x8x8x8xf32> -> tensor<1x8x8x8xf32> {
  ^bb0(%z: f32):
    dlc.yield %z : f32
  } loc("plain")
  // LARGE: loc("strided"): {{.*}}direct: there is no winograd-9x9, since its stride is not 1
  // ANY: loc("strided"): {{.*}}direct: there is no winograd, since its stride is not 1
  %1 = dlc.contract %x, %w outs %e [#s, #b, #c] : tensor<1x17x17x8xf32>, tensor<3x3x8x8xf32>, tensor<1x8x8x8xf32> -> tensor<1x8x8x8xf32> {
  ^bb0(%z: f32):
    dlc.yield %z : f32
  } loc("strided")
  // FFT: loc("dilated"): {{.*}}direct: there is no fft-7x7, since its window is dilated
  %2 = dlc.contract %xt, %w outs %e [#d, #b, #c] : tensor<1x12x12x8xf32>, tensor<3x3x8x8xf32>, tensor<1x8x8x8xf32> -> tensor<1x8x8x8xf32> {
  ^bb0(%z: f32):
    dlc.yield %z : f32
  } loc("dilated")
  // ANY: loc("weighted"): {{.*}}since its weights are not constant
  %3 = dlc.contract %xs, %v outs %e [#a, #b, #c] : tensor<1x10x10x8xf32>, tensor<3x3x8x8xf32>, tensor<1x8x8x8xf32> -> tensor<1x8x8x8xf32> {
  ^bb0(%z: f32):
    dlc.yield %z : f32
  } loc("weighted")
  // ANY: loc("double"): {{.*}}since it is not one of float32
  %4 = dlc.contract %xd, %wd outs %ed [#a, #b, #c] : tensor<1x10x10x8xf64>, tensor<3x3x8x8xf64>, tensor<1x8x8x8xf64> -> tensor<1x8x8x8xf64> {
  ^bb0(%z: f64):
    dlc.yield %z : f64
  } loc("double")
  // ANY: loc("pointwise"): {{.*}}since its window is 1 x 1
  %5 = dlc.contract %x1, %w1 outs %e [#a, #b, #c] : tensor<1x8x8x8xf32>, tensor<1x1x8x8xf32>, tensor<1x8x8x8xf32> -> tensor<1x8x8x8xf32> {
  ^bb0(%z: f32):
    dlc.yield %z : f32
  } loc("pointwise")
  // ANY: loc("depthwise"): {{.*}}since it goes channel by channel
  %6 = dlc.contract %xs, %wg outs %eg [#ga, #gb, #gc] : tensor<1x10x10x8xf32>, tensor<3x3x1x8x1xf32>, tensor<1x8x8x8x1xf32> -> tensor<1x8x8x8x1xf32> {
  ^bb0(%z: f32):
    dlc.yield %z : f32
  } loc("depthwise")
  // A product has no form to lack.
  %p0 = arith.constant dense<1.0> : tensor<8x8xf32>
  %7 = dlc.contract %p0, %p0 outs %p0
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      : tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32> {
  ^bb0(%z: f32):
    dlc.yield %z : f32
  } loc("product")
  // ANY-NOT: loc("product"
  return
}
// LARGE: warning: no convolution has the form 'winograd-9x9'
// ANY: loc("plain"): {{.*}}Winograd's form
