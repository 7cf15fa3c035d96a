// RUN: dlc-opt %s --dlc-pack-contract="panel=64 lanes=16" --canonicalize | FileCheck %s

#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (k, n)>
#c = affine_map<(m, n, k) -> (m, n)>

// Few rows read a long panel of half the width half as often.
// CHECK-LABEL: @few_rows
// CHECK: dlc.contract {{.*}} : tensor<49x512xf32>, tensor<6x512x32xf32>, tensor<49x192xf32>
func.func @few_rows(%x: tensor<49x512xf32>, %e: tensor<49x192xf32>) -> tensor<49x192xf32> {
  %w = arith.constant dense_resource<w> : tensor<512x192xf32>
  %0 = dlc.contract %x, %w outs %e [#a, #b, #c] : tensor<49x512xf32>, tensor<512x192xf32>, tensor<49x192xf32> -> tensor<49x192xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0 : tensor<49x192xf32>
}

// One row has its sums in one tile of the whole width; many rows hide that
// weights come from far away; a short sum is in the nearest cache.
// CHECK-LABEL: @others
// CHECK: dlc.contract {{.*}} : tensor<1x512xf32>, tensor<3x512x64xf32>, tensor<1x192xf32>
// CHECK: dlc.contract {{.*}} : tensor<784x512xf32>, tensor<3x512x64xf32>, tensor<784x192xf32>
// CHECK: dlc.contract {{.*}} : tensor<49x64xf32>, tensor<3x64x64xf32>, tensor<49x192xf32>
func.func @others(%x: tensor<1x512xf32>, %y: tensor<784x512xf32>, %z: tensor<49x64xf32>, %ex: tensor<1x192xf32>,
                  %ey: tensor<784x192xf32>, %ez: tensor<49x192xf32>) -> (tensor<1x192xf32>, tensor<784x192xf32>, tensor<49x192xf32>) {
  %w = arith.constant dense_resource<w> : tensor<512x192xf32>
  %v = arith.constant dense_resource<v> : tensor<64x192xf32>
  %0 = dlc.contract %x, %w outs %ex [#a, #b, #c] : tensor<1x512xf32>, tensor<512x192xf32>, tensor<1x192xf32> -> tensor<1x192xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %1 = dlc.contract %y, %w outs %ey [#a, #b, #c] : tensor<784x512xf32>, tensor<512x192xf32>, tensor<784x192xf32> -> tensor<784x192xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  %2 = dlc.contract %z, %v outs %ez [#a, #b, #c] : tensor<49x64xf32>, tensor<64x192xf32>, tensor<49x192xf32> -> tensor<49x192xf32> {
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }
  return %0, %1, %2 : tensor<1x192xf32>, tensor<784x192xf32>, tensor<49x192xf32>
}
