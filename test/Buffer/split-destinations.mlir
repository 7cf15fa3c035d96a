// RUN: dlc-opt %s --dlc-split-destinations | FileCheck %s

// Two tensors with the same border: each gets its own, the second one behind
// what comes before its parts, for its buffer lives from its border on.
// CHECK-LABEL: func.func @main
// CHECK-SAME: %[[X:.*]]: tensor<4xf32>
// CHECK: %[[BORDER:.*]] = tensor.insert_slice %{{.*}} into %[[FIRST:.*]][0] [1] [1]
// CHECK: linalg.exp ins(%[[X]]
// CHECK: tensor.insert_slice %{{.*}} into %[[BORDER]][1] [4] [1]
// CHECK: linalg.abs
// CHECK: %[[OTHER:.*]] = tensor.insert_slice %{{.*}} into %[[SECOND:.*]][0] [1] [1]
// CHECK: tensor.insert_slice %{{.*}} into %[[OTHER]][1] [4] [1]
func.func @main(%x: tensor<4xf32>) -> (tensor<5xf32>) {
  %zero = arith.constant 0.0 : f32
  %one = tensor.empty() : tensor<1xf32>
  %four = tensor.empty() : tensor<4xf32>
  %five = tensor.empty() : tensor<5xf32>
  %slab = linalg.fill ins(%zero : f32) outs(%one : tensor<1xf32>) -> tensor<1xf32>
  %border = tensor.insert_slice %slab into %five[0] [1] [1] : tensor<1xf32> into tensor<5xf32>
  %a = linalg.exp ins(%x : tensor<4xf32>) outs(%four : tensor<4xf32>) -> tensor<4xf32>
  %wide = tensor.insert_slice %a into %border[1] [4] [1] : tensor<4xf32> into tensor<5xf32>
  %part = tensor.extract_slice %wide[0] [4] [1] : tensor<5xf32> to tensor<4xf32>
  %b = linalg.abs ins(%part : tensor<4xf32>) outs(%four : tensor<4xf32>) -> tensor<4xf32>
  %again = tensor.insert_slice %b into %border[1] [4] [1] : tensor<4xf32> into tensor<5xf32>
  return %again : tensor<5xf32>
}

// What is read has no destination in it; what overwrites it gets a copy.
// CHECK-LABEL: func.func @read
// CHECK: %[[ZEROS:.*]] = linalg.fill
// CHECK: %[[COPY:.*]] = linalg.fill
// CHECK: linalg.exp ins(%{{.*}}) outs(%[[COPY]]
// CHECK: return %{{.*}}, %[[ZEROS]]
func.func @read(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0.0 : f32
  %four = tensor.empty() : tensor<4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%four : tensor<4xf32>) -> tensor<4xf32>
  %a = linalg.exp ins(%x : tensor<4xf32>) outs(%zeros : tensor<4xf32>) -> tensor<4xf32>
  return %a, %zeros : tensor<4xf32>, tensor<4xf32>
}

// A reshape of an empty tensor is an empty tensor, one for each user.
// CHECK-LABEL: func.func @reshaped
// CHECK: %[[SECOND:.*]] = tensor.empty() : tensor<8xf32>
// CHECK: %[[FIRST:.*]] = tensor.empty() : tensor<8xf32>
// CHECK: linalg.exp ins(%{{.*}}) outs(%[[FIRST]]
// CHECK: linalg.abs ins(%{{.*}}) outs(%[[SECOND]]
func.func @reshaped(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %empty = tensor.empty() : tensor<2x4xf32>
  %flat = tensor.collapse_shape %empty [[0, 1]] : tensor<2x4xf32> into tensor<8xf32>
  %a = linalg.exp ins(%x : tensor<8xf32>) outs(%flat : tensor<8xf32>) -> tensor<8xf32>
  %b = linalg.abs ins(%a : tensor<8xf32>) outs(%flat : tensor<8xf32>) -> tensor<8xf32>
  return %a, %b : tensor<8xf32>, tensor<8xf32>
}
