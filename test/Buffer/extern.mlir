// RUN: dlc --from=tensor %s --to=buffer -o - | FileCheck %s

// A C function gets dense buffers: a part of a larger tensor is copied, and a
// whole one is not.

module attributes {dlc.name = "calls", dlc.inputs = [{name = "x", type = tensor<4x8xf32>}], dlc.outputs = [{name = "y", type = tensor<4x8xf32>}]} {
  func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %0 = tensor.empty() : tensor<4x8xf32>
    %a = dlc.extern "whole" ins(%x : tensor<4x8xf32>) outs(%0 : tensor<4x8xf32>) with "{}" -> tensor<4x8xf32>
    %part = tensor.extract_slice %a[0, 0] [4, 3] [1, 1] : tensor<4x8xf32> to tensor<4x3xf32>
    %1 = tensor.empty() : tensor<4x3xf32>
    %b = dlc.extern "part" ins(%part : tensor<4x3xf32>) outs(%1 : tensor<4x3xf32>) with "{}" -> tensor<4x3xf32>
    %y = tensor.insert_slice %b into %a[0, 2] [4, 3] [1, 1] : tensor<4x3xf32> into tensor<4x8xf32>
    return %y : tensor<4x8xf32>
  }
}

// CHECK: func.func @main
// CHECK: %[[X:.*]] = dlc.input 0
// CHECK: dlc.extern "whole" ins(%[[X]] : memref<4x8xf32
// CHECK: call @kernel_0
// CHECK: dlc.extern "part" ins(%{{.*}} : memref<4x3xf32>) outs(%{{.*}} : memref<4x3xf32>)
