// RUN: dlc --from=tensor %s --to=buffer -o - | FileCheck %s

// A concatenation of a concatenation is computed in one buffer: no copies.

module attributes {dlc.name = "parts", dlc.inputs = [{name = "x", type = tensor<4x8xf32>}], dlc.outputs = [{name = "y", type = tensor<4x24xf32>}]} {
  func.func @main(%x: tensor<4x8xf32>) -> tensor<4x24xf32> {
    %0 = tensor.empty() : tensor<4x8xf32>
    %a = linalg.exp ins(%x : tensor<4x8xf32>) outs(%0 : tensor<4x8xf32>) -> tensor<4x8xf32>
    %b = linalg.abs ins(%x : tensor<4x8xf32>) outs(%0 : tensor<4x8xf32>) -> tensor<4x8xf32>
    %1 = tensor.empty() : tensor<4x16xf32>
    %a1 = tensor.insert_slice %a into %1[0, 0] [4, 8] [1, 1] : tensor<4x8xf32> into tensor<4x16xf32>
    %ab = tensor.insert_slice %b into %a1[0, 8] [4, 8] [1, 1] : tensor<4x8xf32> into tensor<4x16xf32>
    %c = linalg.tanh ins(%x : tensor<4x8xf32>) outs(%0 : tensor<4x8xf32>) -> tensor<4x8xf32>
    %2 = tensor.empty() : tensor<4x24xf32>
    %ab1 = tensor.insert_slice %ab into %2[0, 0] [4, 16] [1, 1] : tensor<4x16xf32> into tensor<4x24xf32>
    %abc = tensor.insert_slice %c into %ab1[0, 16] [4, 8] [1, 1] : tensor<4x8xf32> into tensor<4x24xf32>
    return %abc : tensor<4x24xf32>
  }
}

// CHECK: dlc.workspace = 0
// CHECK-DAG: %[[X:.*]] = dlc.input 0
// CHECK-DAG: %[[Y:.*]] = dlc.output 0
// CHECK: %[[AB:.*]] = memref.subview %[[Y]][0, 0] [4, 16]
// CHECK: %[[A:.*]] = memref.subview %[[AB]][0, 0] [4, 8]
// CHECK: call @{{.*}}(%[[X]], %[[A]])
// CHECK: %[[B:.*]] = memref.subview %[[AB]][0, 8] [4, 8]
// CHECK: call @{{.*}}(%[[X]], %[[B]])
// CHECK: %[[C:.*]] = memref.subview %[[Y]][0, 16] [4, 8]
// CHECK: call @{{.*}}(%[[X]], %[[C]])
// CHECK-NOT: call
// CHECK: return
