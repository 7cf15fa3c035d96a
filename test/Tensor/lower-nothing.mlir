// RUN: dlc-opt %s -dlc-lower-to-linalg | FileCheck %s

// A product of 0 with sizes that the run knows would be no static size.
// CHECK-LABEL: func.func @reshape
// CHECK: tensor.empty(%{{.*}}) : tensor<0x?xf32>
// CHECK-NOT: tensor.collapse_shape
// CHECK: return
func.func @reshape(%x: tensor<0x?x1x?xf32>, %n: index) -> tensor<0x?xf32> {
  %0 = dlc.reshape %x[%n] : tensor<0x?x1x?xf32> to tensor<0x?xf32>
  return %0 : tensor<0x?xf32>
}

// CHECK-LABEL: func.func @some
// CHECK: tensor.collapse_shape
func.func @some(%x: tensor<1x?x1x?xf32>, %n: index) -> tensor<1x?xf32> {
  %0 = dlc.reshape %x[%n] : tensor<1x?x1x?xf32> to tensor<1x?xf32>
  return %0 : tensor<1x?xf32>
}

// Nothing can be inserted behind the last element.
// CHECK-LABEL: func.func @concat
// CHECK: tensor.empty() : tensor<3x0x3xf32>
// CHECK-NOT: tensor.insert_slice
// CHECK: return
func.func @concat(%x: tensor<3x?x1xf32>, %y: tensor<3x0x2xf32>) -> tensor<3x0x3xf32> {
  %0 = dlc.concat %x, %y axis = 2 : tensor<3x?x1xf32>, tensor<3x0x2xf32>
  return %0 : tensor<3x0x3xf32>
}

// A slice that begins behind the last element takes none.
// CHECK-LABEL: func.func @behind
// CHECK: tensor.empty(%{{.*}}) : tensor<2x?xf32>
// CHECK-NOT: tensor.extract_slice
// CHECK: return
func.func @behind(%x: tensor<2x4xf32>, %n: index) -> tensor<2x?xf32> {
  %0 = dlc.slice %x[0, 4] [2, %n] [1, 1] : tensor<2x4xf32> to tensor<2x?xf32>
  return %0 : tensor<2x?xf32>
}

// CHECK-LABEL: func.func @last
// CHECK: tensor.extract_slice %{{.*}}[0, 3] [2, %{{.*}}] [1, 1]
func.func @last(%x: tensor<2x4xf32>, %n: index) -> tensor<2x?xf32> {
  %0 = dlc.slice %x[0, 3] [2, %n] [1, 1] : tensor<2x4xf32> to tensor<2x?xf32>
  return %0 : tensor<2x?xf32>
}
