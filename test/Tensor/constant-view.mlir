// RUN: dlc-opt %s --dlc-evaluate-constants --canonicalize --split-input-file | FileCheck %s

// Transposes, reshapes and slices of a constant, together.
// CHECK-LABEL: func.func @main
// CHECK-NEXT:  %[[C:.*]] = arith.constant dense<
// CHECK-SAME{LITERAL}: [[[1, 4], [7, 10]], [[3, 6], [9, 12]]]> : tensor<2x2x2xi8>
// CHECK-NEXT:  return %[[C]]
func.func @main() -> tensor<2x2x2xi8> {
  %c = arith.constant dense<[[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]> : tensor<4x3xi8>
  %e = tensor.empty() : tensor<3x4xi8>
  %t = linalg.transpose ins(%c : tensor<4x3xi8>) outs(%e : tensor<3x4xi8>) permutation = [1, 0]
  %s = tensor.extract_slice %t[0, 0] [2, 4] [2, 1] : tensor<3x4xi8> to tensor<2x4xi8>
  %x = tensor.expand_shape %s [[0], [1, 2]] output_shape [2, 2, 2] : tensor<2x4xi8> into tensor<2x2x2xi8>
  return %x : tensor<2x2x2xi8>
}

// -----

// A slice that loses a dimension; dimensions of size 1; eight bytes.
// CHECK-LABEL: func.func @main
// CHECK-NEXT:  %[[C:.*]] = arith.constant dense<[4.000000e+00, 5.000000e+00, 6.000000e+00]> : tensor<3xf64>
// CHECK-NEXT:  return %[[C]]
func.func @main() -> tensor<3xf64> {
  %c = arith.constant dense<[[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]> : tensor<2x1x3xf64>
  %s = tensor.extract_slice %c[1, 0, 0] [1, 1, 3] [1, 1, 1] : tensor<2x1x3xf64> to tensor<1x3xf64>
  %x = tensor.collapse_shape %s [[0, 1]] : tensor<1x3xf64> into tensor<3xf64>
  return %x : tensor<3xf64>
}

// -----

// Elements that do not lie as the reshape needs them: evaluated by code.
// CHECK-LABEL: func.func @main
// CHECK-NEXT:  %[[C:.*]] = arith.constant dense<[1, 3, 5, 2, 4, 6]> : tensor<6xi16>
// CHECK-NEXT:  return %[[C]]
func.func @main() -> tensor<6xi16> {
  %c = arith.constant dense<[[1, 2], [3, 4], [5, 6]]> : tensor<3x2xi16>
  %e = tensor.empty() : tensor<2x3xi16>
  %t = linalg.transpose ins(%c : tensor<3x2xi16>) outs(%e : tensor<2x3xi16>) permutation = [1, 0]
  %x = tensor.collapse_shape %t [[0, 1]] : tensor<2x3xi16> into tensor<6xi16>
  return %x : tensor<6xi16>
}

// -----

// Nothing, one number, bits, a splat.
// CHECK-LABEL: func.func @main
// CHECK-DAG:   %[[N:.*]] = arith.constant dense<> : tensor<0x2xf32>
// CHECK-DAG:   %[[O:.*]] = arith.constant dense<2.500000e+00> : tensor<f16>
// CHECK-DAG{LITERAL}: arith.constant dense<[[true, false], [true, true]]> : tensor<2x2xi1>
// CHECK-DAG:   %[[S:.*]] = arith.constant dense<7> : tensor<2x3xi32>
// CHECK:       return %[[N]], %[[O]], %{{.*}}, %[[S]]
func.func @main() -> (tensor<0x2xf32>, tensor<f16>, tensor<2x2xi1>, tensor<2x3xi32>) {
  %n = arith.constant dense<> : tensor<2x0xf32>
  %ne = tensor.empty() : tensor<0x2xf32>
  %nt = linalg.transpose ins(%n : tensor<2x0xf32>) outs(%ne : tensor<0x2xf32>) permutation = [1, 0]
  %o = arith.constant dense<2.5> : tensor<1x1xf16>
  %ox = tensor.collapse_shape %o [] : tensor<1x1xf16> into tensor<f16>
  %b = arith.constant dense<[[true, true], [false, true]]> : tensor<2x2xi1>
  %be = tensor.empty() : tensor<2x2xi1>
  %bt = linalg.transpose ins(%b : tensor<2x2xi1>) outs(%be : tensor<2x2xi1>) permutation = [1, 0]
  %s = arith.constant dense<7> : tensor<3x2xi32>
  %se = tensor.empty() : tensor<2x3xi32>
  %st = linalg.transpose ins(%s : tensor<3x2xi32>) outs(%se : tensor<2x3xi32>) permutation = [1, 0]
  return %nt, %ox, %bt, %st : tensor<0x2xf32>, tensor<f16>, tensor<2x2xi1>, tensor<2x3xi32>
}
