// RUN: dlc-opt %s -dlc-profile-nodes | FileCheck %s

// What the run calls is measured; what is small is not.

// CHECK-LABEL: module
// CHECK-SAME: dlc.profile = ["conv+relu", "copy", "strings", "scan"]
module {
  // CHECK: func.func @main
  // CHECK: %[[T0:.*]] = dlc.begin_node 0
  // CHECK-NEXT: call @kernel_0
  // CHECK-NEXT: dlc.end_node 0, %[[T0]]
  // CHECK-NEXT: call @small
  // CHECK: scf.for
  // CHECK-NEXT: %[[T1:.*]] = dlc.begin_node 1
  // CHECK-NEXT: memref.copy
  // CHECK-NEXT: dlc.end_node 1, %[[T1]]
  // CHECK: %[[T2:.*]] = dlc.begin_node 2
  // CHECK-NEXT: dlc.call "twister"
  // CHECK-NEXT: dlc.end_node 2, %[[T2]]
  // CHECK: %[[T3:.*]] = dlc.begin_node 3
  // CHECK-NEXT: scf.for
  // CHECK-NEXT: memref.store
  // CHECK-NEXT: }
  // CHECK-NEXT: dlc.end_node 3, %[[T3]]
  func.func @main(%run: !llvm.ptr, %a: memref<64xf32>, %b: memref<64xf32>, %n: index, %seed: i64) -> i32 {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %ok = arith.constant 0 : i32
    func.call @kernel_0(%a) : (memref<64xf32>) -> () loc(fused["conv"("m.onnx":1:0), "relu"("m.onnx":2:0), "graph"(fused<"named">["m.onnx":0:0])])
    func.call @small(%a) : (memref<64xf32>) -> ()
    scf.for %i = %c0 to %n step %c1 {
      memref.copy %a, %b : memref<64xf32> to memref<64xf32>
    }
    %r = dlc.call "twister"(%seed, %n) : (i64, index) -> memref<?xi32> loc("strings"("m.onnx":3:0))
    %zero = arith.constant 0.0 : f32
    scf.for %i = %c0 to %n step %c1 {
      memref.store %zero, %a[%i] : memref<64xf32>
    } loc("scan"("m.onnx":4:0))
    return %ok : i32
  }
  func.func private @kernel_0(%a: memref<64xf32>) attributes {passthrough = ["noinline"]} {
    return
  }
  func.func private @small(%a: memref<64xf32>) {
    return
  }
}
