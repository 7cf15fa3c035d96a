// RUN: dlc-opt --split-input-file --dlc-space-to-depth %s | FileCheck %s
// RUN: dlc-opt --split-input-file --dlc-space-to-depth --remark-format=emitRemark --remarks-filter=".*" -o /dev/null %s 2>&1 | FileCheck %s --check-prefix=REMARK

// 7 elements are 4 blocks of 2, with a zero in front.
// REMARK: takes squares of 2x2 as channels, and has no strides
// CHECK-LABEL: onnx.graph
// CHECK: onnx.node "Pad"(%w, %[[PADS:.*]]) {{.*}} : tensor<8x3x8x8xf32>
// CHECK: onnx.node "Transpose"({{.*}}) {perm = array<i64: 0, 3, 5, 1, 2, 4>}
// CHECK: %[[V:.*]] = onnx.node "Reshape"({{.*}} : tensor<8x12x4x4xf32>)
// CHECK: %[[S:.*]] = onnx.node "SpaceToDepth"(%x) {blocksize = 2 : i64} : (tensor<?x3x32x64xf32>) -> ({{.*}} : tensor<?x12x16x32xf32>)
// CHECK: onnx.node "Conv"(%[[S]], %[[V]], %b) {kernel_shape = array<i64: 4, 4>, pads = array<i64: 2, 2, 1, 1>}
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<?x3x32x64xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<1.0> : tensor<8x3x7x7xf32>
    %b = onnx.initializer "b" = dense<1.0> : tensor<8xf32>
    %y = onnx.node "Conv"(%x, %w, %b) {pads = array<i64: 3, 3, 3, 3>, strides = array<i64: 2, 2>} : (tensor<?x3x32x64xf32>, tensor<8x3x7x7xf32>, tensor<8xf32>) -> ("y" : tensor<?x8x16x32xf32>)
    onnx.return %y : tensor<?x8x16x32xf32>
  }
}

// -----

// Two blocks a side gain nothing.
// REMARK: left as it is: the window would have fewer than three blocks a side
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "SpaceToDepth"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x32x32xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<1.0> : tensor<8x3x3x3xf32>
    %y = onnx.node "Conv"(%x, %w) {pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x3x32x32xf32>, tensor<8x3x3x3xf32>) -> ("y" : tensor<1x8x16x16xf32>)
    onnx.return %y : tensor<1x8x16x16xf32>
  }
}

// -----

// A row that is cut off has no block.
// REMARK: left as it is: height and width are not known to be multiples of the stride
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "SpaceToDepth"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x33x32xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<1.0> : tensor<8x3x7x7xf32>
    %y = onnx.node "Conv"(%x, %w) {pads = array<i64: 3, 3, 3, 3>, strides = array<i64: 2, 2>} : (tensor<1x3x33x32xf32>, tensor<8x3x7x7xf32>) -> ("y" : tensor<1x8x17x16xf32>)
    onnx.return %y : tensor<1x8x17x16xf32>
  }
}

// -----

// 16 products of 36 would be left.
// REMARK: left as it is: too many of the products would be ones with zeros
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "SpaceToDepth"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x32x32xf32>) -> ("y") {
    %w = onnx.initializer "w" = dense<1.0> : tensor<8x3x4x4xf32>
    %y = onnx.node "Conv"(%x, %w) {pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x3x32x32xf32>, tensor<8x3x4x4xf32>) -> ("y" : tensor<1x8x16x16xf32>)
    onnx.return %y : tensor<1x8x16x16xf32>
  }
}

// -----

// REMARK: left as it is: it has groups, dilations or padding by a rule
// REMARK: left as it is: Winograd's form is one of float32, with constant weights
// REMARK: left as it is: its strides are not equal
// CHECK-LABEL: onnx.graph
// CHECK-NOT: "SpaceToDepth"
module attributes {onnx.opset_imports = {ai.onnx = 28 : i64}} {
  onnx.graph @main(%x "x" : tensor<1x3x32x32xf32>, %v "v" : tensor<8x3x7x7xf32>) -> ("y", "z", "u") {
    %w = onnx.initializer "w" = dense<1.0> : tensor<8x3x7x7xf32>
    %y = onnx.node "Conv"(%x, %w) {dilations = array<i64: 2, 2>, pads = array<i64: 6, 6, 6, 6>, strides = array<i64: 2, 2>} : (tensor<1x3x32x32xf32>, tensor<8x3x7x7xf32>) -> ("y" : tensor<1x8x16x16xf32>)
    %z = onnx.node "Conv"(%x, %v) {pads = array<i64: 3, 3, 3, 3>, strides = array<i64: 2, 2>} : (tensor<1x3x32x32xf32>, tensor<8x3x7x7xf32>) -> ("z" : tensor<1x8x16x16xf32>)
    %u = onnx.node "Conv"(%x, %w) {pads = array<i64: 3, 3, 3, 3>, strides = array<i64: 2, 1>} : (tensor<1x3x32x32xf32>, tensor<8x3x7x7xf32>) -> ("u" : tensor<1x8x16x32xf32>)
    onnx.return %y, %z, %u : tensor<1x8x16x16xf32>, tensor<1x8x16x16xf32>, tensor<1x8x16x32xf32>
  }
}
