// RUN: dlc-opt %s -split-input-file -canonicalize -dlc-lower-to-linalg -canonicalize | FileCheck %s

// Equal strings are held once; the run makes addresses of offsets.
// CHECK-LABEL: func.func @strings
// CHECK-DAG: %[[BYTES:.*]] = arith.constant dense<[97, 98, 0, 0]> : tensor<4xi8>
// CHECK-DAG: %[[OFFSETS:.*]] = arith.constant dense<{{\[\[}}0, 3], [0, 0]]> : tensor<2x2xi64>
// CHECK: dlc.call "string_table"(%[[BYTES]], %[[OFFSETS]]) : (tensor<4xi8>, tensor<2x2xi64>) -> tensor<2x2xindex>
func.func @strings() -> tensor<2x2x!dlc.string> {
  %0 = dlc.strings ["ab", "", "ab", "ab\00c"] : tensor<2x2x!dlc.string>
  return %0 : tensor<2x2x!dlc.string>
}

// -----

// CHECK-LABEL: func.func @sequences
// CHECK-SAME: %[[X:.*]]: tensor<?xi8>, %[[S:.*]]: index, %[[I:.*]]: index
// CHECK: %[[NEW:.*]] = dlc.call "sequence"(%{{.*}}) : (i64) -> index
// CHECK: %[[ONE:.*]] = dlc.call "sequence_insert"(%[[NEW]], %[[X]], %{{.*}}) : (index, tensor<?xi8>, index) -> index
// CHECK: %[[TWO:.*]] = dlc.call "sequence_insert"(%[[ONE]], %[[X]], %[[I]])
// CHECK: %[[ERASED:.*]] = dlc.call "sequence_erase"(%[[S]], %[[I]]) : (index, index) -> index
// CHECK: %[[N:.*]] = dlc.call "sequence_length"(%[[ERASED]]) : (index) -> index
// CHECK: dlc.call "sequence_at"(%[[TWO]], %[[N]]) : (index, index) -> tensor<?x3xi8>
// CHECK: dlc.call "sequence_concat"(%[[ERASED]], %{{.*}}, %{{.*}}) : (index, i64, i64) -> tensor<?xi8>
func.func @sequences(%x: tensor<?xui8>, %s: !dlc.seq<ui8>, %i: index)
    -> (tensor<?x3xui8>, tensor<?xui8>) {
  %0 = dlc.sequence %x : tensor<?xui8> -> !dlc.seq<ui8>
  %1 = dlc.sequence_insert %x into %0[%i] : tensor<?xui8> into !dlc.seq<ui8>
  %2 = dlc.sequence_erase %s[%i] : !dlc.seq<ui8>
  %3 = dlc.sequence_length %2 : !dlc.seq<ui8>
  %4 = dlc.sequence_at %1[%3] : !dlc.seq<ui8> -> tensor<?x3xui8>
  %5 = dlc.sequence_concat %2 axis = 0 : !dlc.seq<ui8> -> tensor<?xui8>
  return %4, %5 : tensor<?x3xui8>, tensor<?xui8>
}

// -----

// What nobody needs is not computed.
// CHECK-LABEL: func.func @unused
// CHECK-NEXT: return
func.func @unused(%x: tensor<?xf32>) {
  %0 = dlc.sequence %x : tensor<?xf32> -> !dlc.seq<f32>
  %1 = dlc.sequence_length %0 : !dlc.seq<f32>
  return
}
