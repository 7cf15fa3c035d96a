// RUN: dlc-opt %s --dlc-share-concats --canonicalize --split-input-file | FileCheck %s

// A dense block: each concatenation goes on where the last one ends.
// CHECK-LABEL: func.func @block
// CHECK-SAME:  (%[[X:.*]]: tensor<8x64xf32>, %[[Y:.*]]: tensor<8x32xf32>)
// CHECK:       %[[E:.*]] = tensor.empty() : tensor<8x160xf32>
// CHECK:       %[[A:.*]] = tensor.insert_slice %[[X]] into %[[E]][0, 0] [8, 64] [1, 1]
// CHECK:       %[[B:.*]] = tensor.insert_slice %[[Y]] into %[[A]][0, 64] [8, 32] [1, 1]
// CHECK:       %[[S:.*]] = tensor.extract_slice %[[B]][0, 0] [8, 96] [1, 1]
// CHECK:       %[[P:.*]] = call @f(%[[S]])
// CHECK:       %[[C:.*]] = tensor.insert_slice %[[P]] into %[[B]][0, 96] [8, 32] [1, 1]
// CHECK:       %[[T:.*]] = tensor.extract_slice %[[C]][0, 0] [8, 128] [1, 1]
// CHECK:       %[[Q:.*]] = call @g(%[[T]])
// CHECK:       %[[D:.*]] = tensor.insert_slice %[[Q]] into %[[C]][0, 128] [8, 32] [1, 1]
// CHECK:       return %[[D]]
func.func private @f(tensor<8x96xf32>) -> tensor<8x32xf32>
func.func private @g(tensor<8x128xf32>) -> tensor<8x32xf32>
func.func @block(%x: tensor<8x64xf32>, %y: tensor<8x32xf32>) -> tensor<8x160xf32> {
  %e0 = tensor.empty() : tensor<8x96xf32>
  %a0 = tensor.insert_slice %x into %e0[0, 0] [8, 64] [1, 1] : tensor<8x64xf32> into tensor<8x96xf32>
  %a1 = tensor.insert_slice %y into %a0[0, 64] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x96xf32>
  %p = call @f(%a1) : (tensor<8x96xf32>) -> tensor<8x32xf32>
  %e1 = tensor.empty() : tensor<8x128xf32>
  %b0 = tensor.insert_slice %x into %e1[0, 0] [8, 64] [1, 1] : tensor<8x64xf32> into tensor<8x128xf32>
  %b1 = tensor.insert_slice %y into %b0[0, 64] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x128xf32>
  %b2 = tensor.insert_slice %p into %b1[0, 96] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x128xf32>
  %q = call @g(%b2) : (tensor<8x128xf32>) -> tensor<8x32xf32>
  %e2 = tensor.empty() : tensor<8x160xf32>
  %c0 = tensor.insert_slice %x into %e2[0, 0] [8, 64] [1, 1] : tensor<8x64xf32> into tensor<8x160xf32>
  %c1 = tensor.insert_slice %y into %c0[0, 64] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x160xf32>
  %c2 = tensor.insert_slice %p into %c1[0, 96] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x160xf32>
  %c3 = tensor.insert_slice %q into %c2[0, 128] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x160xf32>
  return %c3 : tensor<8x160xf32>
}

// -----

// The number of rows is the run's.
// CHECK-LABEL: func.func @rows
// CHECK-SAME:  %[[N:[a-z0-9]+]]: index
// CHECK:       %[[E:.*]] = tensor.empty(%[[N]]) : tensor<?x96xf32>
// CHECK-COUNT-2: tensor.insert_slice
// CHECK:       tensor.extract_slice %{{.*}}[0, 0] [%[[N]], 64] [1, 1] : tensor<?x96xf32> to tensor<?x64xf32>
// CHECK:       tensor.insert_slice
// CHECK-NOT:   tensor.insert_slice
func.func private @f(tensor<?x64xf32>) -> tensor<?x32xf32>
func.func @rows(%x: tensor<?x32xf32>, %y: tensor<?x32xf32>, %n: index) -> tensor<?x96xf32> {
  %e0 = tensor.empty(%n) : tensor<?x64xf32>
  %a0 = tensor.insert_slice %x into %e0[0, 0] [%n, 32] [1, 1] : tensor<?x32xf32> into tensor<?x64xf32>
  %a1 = tensor.insert_slice %y into %a0[0, 32] [%n, 32] [1, 1] : tensor<?x32xf32> into tensor<?x64xf32>
  %p = call @f(%a1) : (tensor<?x64xf32>) -> tensor<?x32xf32>
  %e1 = tensor.empty(%n) : tensor<?x96xf32>
  %b0 = tensor.insert_slice %x into %e1[0, 0] [%n, 32] [1, 1] : tensor<?x32xf32> into tensor<?x96xf32>
  %b1 = tensor.insert_slice %y into %b0[0, 32] [%n, 32] [1, 1] : tensor<?x32xf32> into tensor<?x96xf32>
  %b2 = tensor.insert_slice %p into %b1[0, 64] [%n, 32] [1, 1] : tensor<?x32xf32> into tensor<?x96xf32>
  return %b2 : tensor<?x96xf32>
}

// -----

// The first one is read later, returned, or read in another shape; or the parts
// lie elsewhere.
// CHECK-LABEL: func.func @others
// CHECK-COUNT-10: tensor.insert_slice
// CHECK-NOT:   tensor.extract_slice
func.func private @f(tensor<8x64xf32>) -> ()
func.func @others(%x: tensor<8x32xf32>, %y: tensor<8x32xf32>, %z: tensor<8x32xf32>)
    -> (tensor<512xf32>, tensor<8x96xf32>, tensor<8x96xf32>, tensor<8x96xf32>) {
  %e0 = tensor.empty() : tensor<8x64xf32>
  %e1 = tensor.empty() : tensor<8x96xf32>
  %a0 = tensor.insert_slice %x into %e0[0, 0] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x64xf32>
  %a1 = tensor.insert_slice %y into %a0[0, 32] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x64xf32>
  %b0 = tensor.insert_slice %x into %e1[0, 0] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x96xf32>
  %b1 = tensor.insert_slice %y into %b0[0, 32] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x96xf32>
  %b2 = tensor.insert_slice %z into %b1[0, 64] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x96xf32>
  call @f(%a1) : (tensor<8x64xf32>) -> ()
  %c0 = tensor.insert_slice %y into %e0[0, 0] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x64xf32>
  %c1 = tensor.insert_slice %z into %c0[0, 32] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x64xf32>
  %r = tensor.collapse_shape %c1 [[0, 1]] : tensor<8x64xf32> into tensor<512xf32>
  %d0 = tensor.insert_slice %y into %e1[0, 0] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x96xf32>
  %d1 = tensor.insert_slice %z into %d0[0, 32] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x96xf32>
  %d2 = tensor.insert_slice %x into %d1[0, 64] [8, 32] [1, 1] : tensor<8x32xf32> into tensor<8x96xf32>
  return %r, %b2, %d2, %d2 : tensor<512xf32>, tensor<8x96xf32>, tensor<8x96xf32>, tensor<8x96xf32>
}
