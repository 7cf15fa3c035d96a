// RUN: dlc-opt %s --expand-strided-metadata --convert-scf-to-cf --dlc-convert-to-llvm | FileCheck %s

// The pointer that is read has the attribute, among those that memrefs of
// unknown sizes become.
// CHECK: llvm.func @kernel(%{{[^,]*}}: i64, %{{[^,]*}}: !llvm.ptr, %{{[^,]*}}: !llvm.ptr {llvm.noalias}, %{{[^,]*}}: i64, %{{[^,]*}}: i64, %{{[^,]*}}: i64, %{{[^,]*}}: !llvm.ptr, %{{[^,]*}}: !llvm.ptr, %{{[^,]*}}: i64, %{{[^,]*}}: !llvm.ptr, %{{[^,]*}}: !llvm.ptr {llvm.noalias}, %{{[^,]*}}: i64)
func.func @kernel(%i: index, %x: memref<?xf32> {llvm.noalias}, %y: memref<f32>,
                  %z: memref<f32> {llvm.noalias}) {
  %v = memref.load %x[%i] : memref<?xf32>
  memref.store %v, %y[] : memref<f32>
  memref.store %v, %z[] : memref<f32>
  return
}
