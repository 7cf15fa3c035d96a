// RUN: dlc-opt %s --dlc-finish-pools --split-input-file | FileCheck %s

// The quotient of an average, and what follows it, work in the sums' memory;
// the three stand side by side.

#x = affine_map<(y, x, i, j, c) -> (y + i, x + j, c)>
#w = affine_map<(y, x, i, j, c) -> (i, j)>
#y = affine_map<(y, x, i, j, c) -> (y, x, c)>
#id = affine_map<(y, x, c) -> (y, x, c)>
#c = affine_map<(y, x, c) -> (c)>

// CHECK-LABEL: func.func @average
// CHECK-SAME:    %[[SCALES:[a-z0-9]*]]: tensor<16xf32>)
func.func @average(%x: tensor<9x9x16xf32>, %scales: tensor<16xf32>) -> tensor<7x7x16xf32> {
  %zero = arith.constant 0.0 : f32
  %nine = arith.constant 9.0 : f32
  %window = tensor.empty() : tensor<3x3xf32>
  %e = tensor.empty() : tensor<7x7x16xf32>
  %f = tensor.empty() : tensor<7x7x16xf32>
  %g = tensor.empty() : tensor<7x7x16xf32>
  // CHECK: %[[ZEROS:.*]] = linalg.fill
  // CHECK-NEXT: %[[SUMS:.*]] = linalg.generic {{.*}} outs(%[[ZEROS]]
  %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<7x7x16xf32>) -> tensor<7x7x16xf32>
  %other = arith.constant 1.0 : f32
  %sums = linalg.generic {indexing_maps = [#x, #w, #y],
                          iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel"]}
      ins(%x, %window : tensor<9x9x16xf32>, tensor<3x3xf32>) outs(%zeros : tensor<7x7x16xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %t = arith.addf %s, %a : f32
    linalg.yield %t : f32
  } -> tensor<7x7x16xf32>
  // CHECK: %[[QUOTIENT:.*]] = linalg.generic {indexing_maps = [#{{.*}}], {{.*}}} outs(%[[SUMS]] : tensor<7x7x16xf32>) {
  // CHECK-NEXT: ^bb0(%[[S:.*]]: f32):
  // CHECK-NEXT: arith.divf %[[S]]
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%sums : tensor<7x7x16xf32>) outs(%f : tensor<7x7x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %q = arith.divf %a, %nine : f32
    linalg.yield %q : f32
  } -> tensor<7x7x16xf32>
  // CHECK: linalg.generic {{.*}} ins(%[[SCALES]] : tensor<16xf32>) outs(%[[QUOTIENT]] :
  // CHECK-NEXT: ^bb0(%[[A:.*]]: f32, %[[B:.*]]: f32):
  // CHECK-NEXT: arith.subf %[[B]], %[[A]]
  %z = linalg.generic {indexing_maps = [#c, #id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%scales, %y : tensor<16xf32>, tensor<7x7x16xf32>) outs(%g : tensor<7x7x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.subf %b, %a : f32
    linalg.yield %m : f32
  } -> tensor<7x7x16xf32>
  return %z : tensor<7x7x16xf32>
}

// -----

// Others read the sums; the result has another type; the rows of a reduction
// are no windows: these keep memory of their own.

#x = affine_map<(y, i, c) -> (y + i, c)>
#w = affine_map<(y, i, c) -> (i)>
#y = affine_map<(y, i, c) -> (y, c)>
#all = affine_map<(y, i, c) -> (y, i, c)>
#id = affine_map<(y, c) -> (y, c)>

// CHECK-LABEL: func.func @near
func.func @near(%x: tensor<9x16xf32>, %r: tensor<7x3x16xf32>) -> (tensor<7x16xf32>, tensor<7x16xf32>, tensor<7x16xf16>, tensor<7x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %window = tensor.empty() : tensor<3xf32>
  %e = tensor.empty() : tensor<7x16xf32>
  %h = tensor.empty() : tensor<7x16xf16>
  %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<7x16xf32>) -> tensor<7x16xf32>
  %sums = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%x, %window : tensor<9x16xf32>, tensor<3xf32>) outs(%zeros : tensor<7x16xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %t = arith.addf %s, %a : f32
    linalg.yield %t : f32
  } -> tensor<7x16xf32>
  // CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<7x16xf32>) outs(%{{.*}} : tensor<7x16xf32>)
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%sums : tensor<7x16xf32>) outs(%e : tensor<7x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %q = arith.negf %a : f32
    linalg.yield %q : f32
  } -> tensor<7x16xf32>
  %others = linalg.fill ins(%zero : f32) outs(%e : tensor<7x16xf32>) -> tensor<7x16xf32>
  %sums2 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%x, %window : tensor<9x16xf32>, tensor<3xf32>) outs(%others : tensor<7x16xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %t = arith.maximumf %s, %a : f32
    linalg.yield %t : f32
  } -> tensor<7x16xf32>
  // CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<7x16xf32>) outs(%{{.*}} : tensor<7x16xf16>)
  %half = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%sums2 : tensor<7x16xf32>) outs(%h : tensor<7x16xf16>) {
  ^bb0(%a: f32, %o: f16):
    %q = arith.truncf %a : f32 to f16
    linalg.yield %q : f16
  } -> tensor<7x16xf16>
  %rows = linalg.generic {indexing_maps = [#all, #y], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%r : tensor<7x3x16xf32>) outs(%others : tensor<7x16xf32>) {
  ^bb0(%a: f32, %s: f32):
    %t = arith.addf %s, %a : f32
    linalg.yield %t : f32
  } -> tensor<7x16xf32>
  // CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<7x16xf32>) outs(%{{.*}} : tensor<7x16xf32>)
  %mean = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%rows : tensor<7x16xf32>) outs(%e : tensor<7x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %q = arith.negf %a : f32
    linalg.yield %q : f32
  } -> tensor<7x16xf32>
  return %sums, %y, %half, %mean : tensor<7x16xf32>, tensor<7x16xf32>, tensor<7x16xf16>, tensor<7x16xf32>
}
