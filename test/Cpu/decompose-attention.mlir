// RUN: dlc-opt %s --dlc-decompose-attention -split-input-file | FileCheck %s
// RUN: dlc-opt %s --dlc-decompose-attention --dlc-outline-kernels -split-input-file | FileCheck %s --check-prefix=KERNELS

#q = affine_map<(b, m, n, k, c) -> (b, m, k)>
#k = affine_map<(b, m, n, k, c) -> (b, n, k)>
#v = affine_map<(b, m, n, k, c) -> (b, n, c)>
#mask = affine_map<(b, m, n, k, c) -> (0, n)>
#none = affine_map<(b, m, n, k, c) -> (b, m)>
#o = affine_map<(b, m, n, k, c) -> (b, m, c)>

// Keys are turned for the first product, the sum divides what the second one
// gives, before the epilogue. Memory that a size of the run tells is the run's.
// CHECK-LABEL: func.func @main
// CHECK: %[[N:.+]] = memref.dim %{{.*}}, %{{.*}} : memref<2x?x4xf32>
// CHECK: %[[S:.+]] = dlc.alloc[%[[N]]] : memref<2x6x?xf32>
// CHECK: %[[T:.+]] = dlc.alloc[%{{.*}}] : memref<2x4x?xf32>
// CHECK: linalg.transpose ins(%{{.*}} : memref<2x?x4xf32>) outs(%[[T]] : memref<2x4x?xf32>) permutation = [0, 2, 1]
// CHECK: dlc.contract %{{.*}}, %[[T]] extras %{{.*}} : memref<1x?xf32> outs %[[S]]
// CHECK: arith.addf
// CHECK: %[[M:.+]] = dlc.alloc : memref<2x6xf32>
// CHECK: linalg.fill ins(%{{.*}} : f32) outs(%[[M]] : memref<2x6xf32>)
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]} ins(%[[S]] : memref<2x6x?xf32>) outs(%[[M]] : memref<2x6xf32>)
// CHECK: arith.maximumf
// CHECK: linalg.generic {{.*}} ins(%[[S]], %[[M]] : memref<2x6x?xf32>, memref<2x6xf32>) outs(%[[S]] : memref<2x6x?xf32>)
// CHECK: math.exp
// CHECK: %[[L:.+]] = dlc.alloc : memref<2x6xf32>
// CHECK: linalg.generic {{.*}} ins(%[[S]] : memref<2x6x?xf32>) outs(%[[L]] : memref<2x6xf32>)
// CHECK: arith.addf
// CHECK: dlc.contract %[[S]], %{{.*}} extras %[[L]], %{{.*}} : memref<2x6xf32>, memref<2x6xi1> outs
// CHECK: ^bb0(%[[SUM:.+]]: f32, %[[TOTAL:.+]]: f32, %[[NONE:.+]]: i1):
// CHECK: %[[RESULT:.+]] = arith.divf %[[SUM]], %[[TOTAL]]
// CHECK: arith.select %[[NONE]], %{{.*}}, %[[RESULT]]
// CHECK-COUNT-4: dlc.free
// CHECK-NOT: @attention
// KERNELS-LABEL: func.func @main
// KERNELS-COUNT-8: call @kernel_
// KERNELS: return
func.func @main(%run: !llvm.ptr) -> i32 {
  %q = dlc.input 0 : memref<2x6x4xf32>
  %k = dlc.input 1 : memref<2x?x4xf32>
  %v = dlc.input 2 : memref<2x?x5xf32>
  %mask = dlc.input 3 : memref<1x?xf32>
  %none = dlc.input 4 : memref<2x6xi1>
  %o = dlc.output 0 : memref<2x6x5xf32>
  call @attention(%q, %k, %v, %mask, %none, %o) : (memref<2x6x4xf32>, memref<2x?x4xf32>, memref<2x?x5xf32>, memref<1x?xf32>, memref<2x6xi1>, memref<2x6x5xf32>) -> ()
  %s = arith.constant 0 : i32
  return %s : i32
}
func.func private @attention(%q: memref<2x6x4xf32>, %k: memref<2x?x4xf32>, %v: memref<2x?x5xf32>, %mask: memref<1x?xf32>, %none: memref<2x6xi1>, %o: memref<2x6x5xf32>) {
  dlc.attention %q, %k, %v scores %mask : memref<1x?xf32> extras %none : memref<2x6xi1> outs %o [#q, #k, #v, #mask, #none, #o]
      : memref<2x6x4xf32>, memref<2x?x4xf32>, memref<2x?x5xf32>, memref<2x6x5xf32> {
  ^bb0(%score: f32, %hidden: f32):
    %0 = arith.addf %score, %hidden : f32
    dlc.yield %0 : f32
  }, {
  ^bb0(%sum: f32, %hide: i1):
    %zero = arith.constant 0.0 : f32
    %0 = arith.select %hide, %zero, %sum : f32
    dlc.yield %0 : f32
  }
  return
}

// -----

#q = affine_map<(m, n, k, c) -> (m, k)>
#k = affine_map<(m, n, k, c) -> (k, n)>
#v = affine_map<(m, n, k, c) -> (n, c)>
#o = affine_map<(m, n, k, c) -> (m, c)>

// Keys that lie as the product reads them stay. The fallback of a model for a
// GPU, too, is a CPU's; the GPU's kernel is not.
// CHECK-LABEL: func.func @fallback
// CHECK-NOT: linalg.transpose
// CHECK: dlc.contract %{{.*}}, %{{.*}} outs %{{.*}} : memref<6x4xf16>, memref<4x8xf16>, memref<6x8xf32>
// CHECK: dlc.contract %{{.*}}, %{{.*}} extras %{{.*}} : memref<6xf32> outs %{{.*}} : memref<6x8xf32>, memref<8x5xf16>, memref<6x5xf16>
// CHECK-LABEL: gpu.module @kernels
// CHECK: dlc.attention
func.func @fallback(%run: !llvm.ptr) -> i32 {
  %q = dlc.input 0 : memref<6x4xf16>
  %k = dlc.input 1 : memref<4x8xf16>
  %v = dlc.input 2 : memref<8x5xf16>
  %o = dlc.output 0 : memref<6x5xf16>
  call @attention(%q, %k, %v, %o) : (memref<6x4xf16>, memref<4x8xf16>, memref<8x5xf16>, memref<6x5xf16>) -> ()
  %s = arith.constant 0 : i32
  return %s : i32
}
func.func private @attention(%q: memref<6x4xf16>, %k: memref<4x8xf16>, %v: memref<8x5xf16>, %o: memref<6x5xf16>) {
  dlc.attention %q, %k, %v outs %o [#q, #k, #v, #o] : memref<6x4xf16>, memref<4x8xf16>, memref<8x5xf16>, memref<6x5xf16> {
  ^bb0(%score: f32):
    dlc.yield %score : f32
  }, {
  ^bb0(%sum: f32):
    %0 = arith.truncf %sum : f32 to f16
    dlc.yield %0 : f16
  }
  return
}
gpu.module @kernels {
  func.func private @attention(%q: memref<6x4xf16>, %k: memref<4x8xf16>, %v: memref<8x5xf16>, %o: memref<6x5xf16>) {
    dlc.attention %q, %k, %v outs %o [#q, #k, #v, #o] : memref<6x4xf16>, memref<4x8xf16>, memref<8x5xf16>, memref<6x5xf16> {
    ^bb0(%score: f32):
      dlc.yield %score : f32
    }, {
    ^bb0(%sum: f32):
      %0 = arith.truncf %sum : f32 to f16
      dlc.yield %0 : f16
    }
    return
  }
}
