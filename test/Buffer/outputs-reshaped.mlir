// RUN: dlc --from=tensor %s --to=buffer -o - | FileCheck %s

// Results are computed in the caller's buffers behind reshapes, too; but not
// where something else goes on in that place.

#map = affine_map<(d0, d1) -> (d0, d1)>
module attributes {dlc.name = "reshaped", dlc.inputs = [{name = "x", type = tensor<6x2xf32>}], dlc.outputs = [{name = "a", type = tensor<4x3xf32>}, {name = "b", type = tensor<12xf32>}, {name = "c", type = tensor<6x2xf32>}]} {
  func.func @main(%x: tensor<6x2xf32>) -> (tensor<4x3xf32>, tensor<12xf32>, tensor<6x2xf32>) {
    %row = arith.constant dense<1.0> : tensor<1x2xf32>
    %0 = tensor.empty() : tensor<6x2xf32>
    %e = linalg.exp ins(%x : tensor<6x2xf32>) outs(%0 : tensor<6x2xf32>) -> tensor<6x2xf32>
    %f = tensor.collapse_shape %e [[0, 1]] : tensor<6x2xf32> into tensor<12xf32>
    %a = tensor.expand_shape %f [[0, 1]] output_shape [4, 3] : tensor<12xf32> into tensor<4x3xf32>
    %1 = tensor.empty() : tensor<6x2xf32>
    %g = linalg.abs ins(%x : tensor<6x2xf32>) outs(%1 : tensor<6x2xf32>) -> tensor<6x2xf32>
    %b = tensor.collapse_shape %g [[0, 1]] : tensor<6x2xf32> into tensor<12xf32>
    %c = tensor.insert_slice %row into %g[0, 0] [1, 2] [1, 1] : tensor<1x2xf32> into tensor<6x2xf32>
    return %a, %b, %c : tensor<4x3xf32>, tensor<12xf32>, tensor<6x2xf32>
  }
}

// CHECK-DAG: %[[X:.*]] = dlc.input 0
// CHECK-DAG: %[[A:.*]] = dlc.output 0 : memref<4x3xf32>
// CHECK-DAG: %[[A1:.*]] = memref.collapse_shape %[[A]] {{\[\[}}0, 1]] : memref<4x3xf32> into memref<12xf32>
// CHECK-DAG: %[[A2:.*]] = memref.expand_shape %[[A1]] {{\[\[}}0, 1]] output_shape [6, 2] : memref<12xf32> into memref<6x2xf32>
// CHECK-DAG: call @{{.*}}(%[[X]], %[[A2]]) :
// CHECK-DAG: %[[B:.*]] = dlc.output 1
// CHECK-DAG: call @{{.*}}(%{{.*}}, %[[B]]) :
// CHECK-NOT: call @{{.*}}(%{{.*}}, %[[A]])
