// RUN: dlc-opt %s --dlc-place-on-device -split-input-file | FileCheck %s

// A function of the program gets copies of what is on the GPU; inputs that
// nothing writes it reads where the caller has them.
// CHECK-LABEL: module attributes {dlc.host_inputs = array<i64: 0>, dlc.host_work}
// CHECK: %[[HOST:.+]] = dlc.input 0 : memref<4xf32>
// CHECK: %[[X:.+]] = dlc.input 0 {device} : memref<4xf32>
// CHECK: %[[Y:.+]] = dlc.output 0 {device} : memref<4xf32>
// CHECK: %[[A:.+]] = dlc.arena 0 {device} : memref<4xf32>
// CHECK: dlc.launch @kernels::@k blocks %{{.*}} threads 256(%[[X]], %[[A]])
// CHECK: %[[INPUT:.+]] = dlc.alloc : memref<4xf32>
// CHECK: dlc.fetch %[[A]] to %[[INPUT]] : memref<4xf32>
// CHECK: %[[OUTPUT:.+]] = dlc.alloc : memref<4xf32>
// CHECK-NOT: dlc.fetch
// CHECK: dlc.extern "f" ins(%[[HOST]], %[[INPUT]] : memref<4xf32>, memref<4xf32>) outs(%[[OUTPUT]] : memref<4xf32>)
// CHECK-DAG: dlc.send %[[OUTPUT]] to %[[Y]] : memref<4xf32>
// CHECK-DAG: dlc.free %[[OUTPUT]] : memref<4xf32>
// CHECK-DAG: dlc.free %[[INPUT]] : memref<4xf32>
module {
  func.func @main(%run: !llvm.ptr) -> i32 {
    %c1 = arith.constant 1 : index
    %x = dlc.input 0 : memref<4xf32>
    %y = dlc.output 0 : memref<4xf32>
    %a = dlc.arena 0 : memref<4xf32>
    dlc.launch @kernels::@k blocks %c1 threads 256 (%x, %a) {written = array<i64: 1>} : memref<4xf32>, memref<4xf32>
    dlc.extern "f" ins(%x, %a : memref<4xf32>, memref<4xf32>) outs(%y : memref<4xf32>) with "{}"
    %s = arith.constant 0 : i32
    return %s : i32
  }
}

// -----

// Kernels get a copy of what the host has made, which goes with the turn of
// the loop; the host goes on to read its own.
// CHECK-LABEL: module attributes {dlc.host_work}
// CHECK: scf.for
// CHECK: %[[R:.+]] = dlc.call "sequence_at"(%{{.*}}) : (index) -> memref<?xf32>
// CHECK: %[[N:.+]] = memref.dim %[[R]]
// CHECK: %[[D:.+]] = dlc.alloc[%[[N]]] {device} : memref<?xf32>
// CHECK: dlc.send %[[R]] to %[[D]] : memref<?xf32>
// CHECK: memref.load %[[R]]
// CHECK: dlc.launch @kernels::@k blocks %{{.*}} threads 256(%[[D]], %{{.*}})
// CHECK: dlc.call "sequence_insert"(%{{.*}}, %[[R]])
// CHECK: dlc.free %[[D]] {device} : memref<?xf32>
module {
  func.func @main(%run: !llvm.ptr) -> i32 {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c4 = arith.constant 4 : index
    %y = dlc.output 0 : memref<f32>
    scf.for %i = %c0 to %c4 step %c1 {
      %r = dlc.call "sequence_at"(%i) : (index) -> memref<?xf32>
      %e = memref.load %r[%c0] : memref<?xf32>
      %size = arith.fptoui %e : f32 to i32
      dlc.launch @kernels::@k blocks %c1 threads 256 (%r, %y) {written = array<i64: 1>} : memref<?xf32>, memref<f32>
      %n = dlc.call "sequence_insert"(%i, %r) : (index, memref<?xf32>) -> index
    }
    %s = arith.constant 0 : i32
    return %s : i32
  }
}

// -----

// In a loop of its own the host reads and writes a copy; outside, an element.
// What no kernel uses is the host's: strings, which share the room that they
// shared in the arena.
// CHECK-LABEL: module attributes {dlc.host_work}
// CHECK: %[[ROOM:.+]] = dlc.alloc : memref<128xi8>
// CHECK: %[[A:.+]] = dlc.arena 0 {device} : memref<4xf32>
// CHECK: %[[C64:.+]] = arith.constant 0 : index
// CHECK: %[[T:.+]] = memref.view %[[ROOM]][%[[C64]]][] : memref<128xi8> to memref<4xindex>
// CHECK: %[[FAR:.+]] = arith.constant 64 : index
// CHECK: %[[U:.+]] = memref.view %[[ROOM]][%[[FAR]]][] : memref<128xi8> to memref<8xindex>
// CHECK: dlc.launch
// CHECK: %[[COPY:.+]] = dlc.alloc : memref<4xf32>
// CHECK: dlc.fetch %[[A]] to %[[COPY]] : memref<4xf32>
// CHECK: scf.for
// CHECK: memref.load %[[COPY]]
// CHECK: memref.store %{{.*}}, %[[T]]
// CHECK: memref.store %{{.*}}, %[[COPY]]
// CHECK: }
// CHECK-DAG: dlc.send %[[COPY]] to %[[A]] : memref<4xf32>
// CHECK-DAG: dlc.free %[[COPY]] : memref<4xf32>
// CHECK: dlc.read %[[A]]
module {
  func.func @main(%run: !llvm.ptr) -> i32 {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c4 = arith.constant 4 : index
    %a = dlc.arena 0 : memref<4xf32>
    %t = dlc.arena 256 : memref<4xindex>
    %u = dlc.arena 1024 : memref<8xindex>
    dlc.launch @kernels::@k blocks %c1 threads 256 (%a) {written = array<i64: 0>} : memref<4xf32>
    scf.for %i = %c0 to %c4 step %c1 {
      %e = memref.load %a[%i] : memref<4xf32>
      %p = dlc.call "string_from_float"(%e) : (f32) -> index
      memref.store %p, %t[%i] : memref<4xindex>
      memref.store %p, %u[%i] : memref<8xindex>
      memref.store %e, %a[%i] : memref<4xf32>
    }
    %e = memref.load %a[%c0] : memref<4xf32>
    %s = arith.fptosi %e : f32 to i32
    return %s : i32
  }
}
