// RUN: dlc-opt %s --dlc-fuse-columns --symbol-dce --split-input-file | FileCheck %s
// RUN: dlc-opt %s --dlc-fuse-columns --dlc-reduce-columns=vector-bytes=32 --symbol-dce --canonicalize --split-input-file | FileCheck %s --check-prefix=CODE
// RUN: dlc-opt %s --dlc-fuse-columns --dlc-share-loops=vector-bytes=32 --symbol-dce --canonicalize --split-input-file | FileCheck %s --check-prefix=SHARED

// An average: the fill, the sums and the quotient are one kernel, that of both
// calls. Results are in registers until they are complete.

#x = affine_map<(y, x, i, j, c) -> (y + i, x + j, c)>
#w = affine_map<(y, x, i, j, c) -> (i, j)>
#y = affine_map<(y, x, i, j, c) -> (y, x, c)>
#id = affine_map<(y, x, c) -> (y, x, c)>
#count = affine_map<(y, x, c) -> (y, x)>

// CHECK-LABEL: func.func @main
// CHECK: call @columns_0(
// CHECK: call @columns_0(
// CHECK-NOT: call
// CHECK: return
func.func @main(%x: memref<65x65x16xf32>, %count: memref<63x63xf32>) {
  %window = dlc.arena 0 : memref<3x3xf32>
  %y = dlc.arena 64 : memref<63x63x16xf32>
  %z = dlc.arena 262144 : memref<63x63x16xf32>
  call @fill(%y) : (memref<63x63x16xf32>) -> ()
  call @sums(%x, %window, %y) : (memref<65x65x16xf32>, memref<3x3xf32>, memref<63x63x16xf32>) -> ()
  call @divide(%count, %y) : (memref<63x63xf32>, memref<63x63x16xf32>) -> ()
  call @fill(%z) : (memref<63x63x16xf32>) -> ()
  call @sums(%x, %window, %z) : (memref<65x65x16xf32>, memref<3x3xf32>, memref<63x63x16xf32>) -> ()
  call @divide(%count, %z) : (memref<63x63xf32>, memref<63x63x16xf32>) -> ()
  return
}
// CHECK: func.func private @columns_0(%{{.*}}: memref<63x63x16xf32> {llvm.noalias}, {{.*}}) attributes {llvm.bareptr, passthrough = ["noinline"]}
// CHECK-NEXT: arith.constant
// CHECK-NEXT: linalg.fill
// CHECK: linalg.generic
// CHECK: linalg.generic
// CHECK-NOT: func.func

// CODE-LABEL: func.func private @columns_0(
// CODE-SAME:    %[[Y:[a-z0-9]*]]: memref<63x63x16xf32>
// CODE-NOT: vector.load %[[Y]]
// CODE-COUNT-18: arith.addf %{{.*}} : vector<8xf32>
// CODE: memref.load
// CODE: arith.divf %{{.*}} : vector<8xf32>
// CODE: arith.divf %{{.*}} : vector<8xf32>
// CODE: vector.store %{{.*}}, %[[Y]]
// CODE-NEXT: vector.store %{{.*}}, %[[Y]]
// CODE-NOT: linalg
// CODE: return

// SHARED-LABEL: func.func private @columns_0(
// SHARED: dlc.parallel
// SHARED-NOT: linalg
// SHARED-NOT: dlc.parallel
// SHARED: return
func.func private @fill(%y: memref<63x63x16xf32> {llvm.noalias}) attributes {llvm.bareptr} {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<63x63x16xf32>)
  return
}
func.func private @sums(%x: memref<65x65x16xf32> {llvm.noalias}, %w: memref<3x3xf32> {llvm.noalias}, %y: memref<63x63x16xf32> {llvm.noalias}) attributes {llvm.bareptr} {
  linalg.generic {indexing_maps = [#x, #w, #y],
                  iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel"]}
      ins(%x, %w : memref<65x65x16xf32>, memref<3x3xf32>) outs(%y : memref<63x63x16xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %t = arith.addf %s, %a : f32
    linalg.yield %t : f32
  }
  return
}
func.func private @divide(%count: memref<63x63xf32> {llvm.noalias}, %y: memref<63x63x16xf32> {llvm.noalias}) attributes {llvm.bareptr} {
  linalg.generic {indexing_maps = [#count, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%count : memref<63x63xf32>) outs(%y : memref<63x63x16xf32>) {
  ^bb0(%n: f32, %s: f32):
    %q = arith.divf %s, %n : f32
    linalg.yield %q : f32
  }
  return
}

// -----

// What fills another buffer, reads results elsewhere or stands behind other
// work stays apart.

#x = affine_map<(y, i, c) -> (y + i, c)>
#w = affine_map<(y, i, c) -> (i)>
#y = affine_map<(y, i, c) -> (y, c)>
#id = affine_map<(y, c) -> (y, c)>
#turned = affine_map<(y, c) -> (c, y)>

// CHECK-LABEL: func.func @main
// CHECK-NEXT: %{{.*}} = dlc.arena
// CHECK-NEXT: call @fill
// CHECK-NEXT: call @largest
// CHECK-NEXT: call @turn
// CHECK-NEXT: call @fill
// CHECK-NEXT: call @negate
// CHECK-NEXT: call @largest
// CHECK-NEXT: return
func.func @main(%x: memref<18x16xf32>, %y: memref<16x16xf32>, %z: memref<16x16xf32>) {
  %window = dlc.arena 0 : memref<3xf32>
  call @fill(%z) : (memref<16x16xf32>) -> ()
  call @largest(%x, %window, %y) : (memref<18x16xf32>, memref<3xf32>, memref<16x16xf32>) -> ()
  call @turn(%y, %y) : (memref<16x16xf32>, memref<16x16xf32>) -> ()
  call @fill(%y) : (memref<16x16xf32>) -> ()
  call @negate(%z) : (memref<16x16xf32>) -> ()
  call @largest(%x, %window, %y) : (memref<18x16xf32>, memref<3xf32>, memref<16x16xf32>) -> ()
  return
}
func.func private @fill(%y: memref<16x16xf32>) {
  %low = arith.constant 0xFF800000 : f32
  linalg.fill ins(%low : f32) outs(%y : memref<16x16xf32>)
  return
}
func.func private @largest(%x: memref<18x16xf32>, %w: memref<3xf32>, %y: memref<16x16xf32>) {
  linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%x, %w : memref<18x16xf32>, memref<3xf32>) outs(%y : memref<16x16xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %t = arith.maximumf %s, %a : f32
    linalg.yield %t : f32
  }
  return
}
func.func private @turn(%x: memref<16x16xf32>, %y: memref<16x16xf32>) {
  linalg.generic {indexing_maps = [#turned, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<16x16xf32>) outs(%y : memref<16x16xf32>) {
  ^bb0(%a: f32, %s: f32):
    %q = arith.addf %a, %s : f32
    linalg.yield %q : f32
  }
  return
}
func.func private @negate(%y: memref<16x16xf32>) {
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]}
      outs(%y : memref<16x16xf32>) {
  ^bb0(%s: f32):
    %q = arith.negf %s : f32
    linalg.yield %q : f32
  }
  return
}
