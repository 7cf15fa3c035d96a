// RUN: dlc --from=tensor %s --to=buffer -o - | FileCheck %s

// What two results are made of is not computed in the place of one of them.

#map = affine_map<(d0, d1) -> (d0, d1)>
module attributes {dlc.name = "two", dlc.inputs = [{name = "x", type = tensor<5x3xf32>}], dlc.outputs = [{name = "a", type = tensor<5x3xf32>}, {name = "b", type = tensor<5x3xf32>}, {name = "c", type = tensor<5x3xf32>}]} {
  func.func @main(%x: tensor<5x3xf32>) -> (tensor<5x3xf32>, tensor<5x3xf32>, tensor<5x3xf32>) {
    %row = arith.constant dense<1.0> : tensor<1x3xf32>
    %0 = tensor.empty() : tensor<5x3xf32>
    %e = linalg.exp ins(%x : tensor<5x3xf32>) outs(%0 : tensor<5x3xf32>) -> tensor<5x3xf32>
    %a = tensor.insert_slice %row into %e[0, 0] [1, 3] [1, 1] : tensor<1x3xf32> into tensor<5x3xf32>
    %b = tensor.insert_slice %row into %e[1, 0] [1, 3] [1, 1] : tensor<1x3xf32> into tensor<5x3xf32>
    %c = linalg.abs ins(%x : tensor<5x3xf32>) outs(%0 : tensor<5x3xf32>) -> tensor<5x3xf32>
    return %a, %b, %c : tensor<5x3xf32>, tensor<5x3xf32>, tensor<5x3xf32>
  }
}

// CHECK-DAG: %[[X:.*]] = dlc.input 0
// CHECK-DAG: %[[A:.*]] = dlc.output 0
// CHECK-DAG: %[[B:.*]] = dlc.output 1
// CHECK-DAG: %[[C:.*]] = dlc.output 2
// CHECK-DAG: call @[[EXP:.*]](%[[X]], %[[E:.*]]) :
// CHECK-DAG: call @[[ABS:.*]](%[[X]], %[[C]]) :
// CHECK-DAG: call @[[COPY:.*]](%[[E]], %[[F:.*]]) :
// CHECK-DAG: call @[[COPY]](%[[F]], %[[A]]) :
// CHECK-DAG: call @[[COPY]](%[[E]], %[[B]]) :
