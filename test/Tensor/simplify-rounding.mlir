// RUN: dlc-opt %s --dlc-simplify-rounding | FileCheck %s
// RUN: dlc-opt %s --dlc-simplify-rounding=fma=false | FileCheck %s --check-prefix=DIVIDE

// The limits are those of x: 0.1 * 255 and 0.
// CHECK-LABEL: @quotient
// CHECK-DAG: %[[HIGH:.*]] = arith.constant 2.550000e+01 : f32
// CHECK-DAG: %[[R:.*]] = arith.constant 1.000000e+01 : f32
// CHECK-DAG: %[[C:.*]] = arith.constant -1.000000e-01 : f32
// CHECK: %[[LOW:.*]] = arith.maxnumf %arg0
// CHECK: %[[T:.*]] = arith.minnumf %[[LOW]], %[[HIGH]]
// CHECK: %[[Q:.*]] = arith.mulf %[[T]], %[[R]]
// CHECK: %[[REST:.*]] = math.fma %[[Q]], %[[C]], %[[T]]
// CHECK: %[[BETTER:.*]] = math.fma %[[REST]], %[[R]], %[[Q]]
// CHECK: arith.addf %[[BETTER]]
// CHECK-NOT: arith.divf
// DIVIDE-LABEL: @quotient
// DIVIDE: arith.divf
func.func @quotient(%x: f32) -> f32 {
  %c = arith.constant 0.1 : f32
  %low = arith.constant 0.0 : f32
  %high = arith.constant 255.0 : f32
  %magic = arith.constant 12582912.0 : f32
  %0 = arith.divf %x, %c : f32
  %1 = arith.maxnumf %0, %low : f32
  %2 = arith.minnumf %1, %high : f32
  %3 = arith.addf %2, %magic : f32
  return %3 : f32
}

// A quotient that isn't rounded, or by what no constant is, stays.
// CHECK-LABEL: @not_rounded
// CHECK-COUNT-2: arith.divf
func.func @not_rounded(%x: f32, %y: f32) -> (f32, f32) {
  %c = arith.constant 0.1 : f32
  %low = arith.constant 0.0 : f32
  %high = arith.constant 255.0 : f32
  %magic = arith.constant 12582912.0 : f32
  %0 = arith.divf %x, %c : f32
  %1 = arith.maxnumf %0, %low : f32
  %2 = arith.minnumf %1, %high : f32
  %3 = arith.divf %x, %y : f32
  %4 = arith.maxnumf %3, %low : f32
  %5 = arith.minnumf %4, %high : f32
  %6 = arith.addf %5, %magic : f32
  return %2, %6 : f32, f32
}

// CHECK-LABEL: @through_bytes
// CHECK: %[[SUM:.*]] = arith.addf
// CHECK: %[[WHOLE:.*]] = arith.subf %[[SUM]], %{{.*}} : f32
// CHECK-NOT: arith.trunci
// CHECK: return %[[WHOLE]]
func.func @through_bytes(%x: f32) -> f32 {
  %low = arith.constant -127.0 : f32
  %high = arith.constant 128.0 : f32
  %magic = arith.constant 12582912.0 : f32
  %zero = arith.constant 127 : i32
  %0 = arith.maxnumf %x, %low : f32
  %1 = arith.minnumf %0, %high : f32
  %2 = arith.addf %1, %magic : f32
  %3 = arith.bitcast %2 : f32 to i32
  %4 = arith.addi %3, %zero : i32
  %5 = arith.trunci %4 : i32 to i8
  %6 = arith.extui %5 : i8 to i32
  %7 = arith.subi %6, %zero : i32
  %8 = arith.sitofp %7 : i32 to f32
  return %8 : f32
}

// With other zero points there is a difference left; where bytes would wrap
// around, all stays.
// CHECK-LABEL: @other_zeros
// CHECK: %[[SUM:.*]] = arith.addf
// CHECK: arith.trunci
// CHECK: %[[WHOLE:.*]] = arith.subf %[[SUM]], %{{.*}} : f32
// CHECK: arith.addf %[[WHOLE]], %{{.*}} : f32
// CHECK: arith.extui
// CHECK: arith.sitofp
func.func @other_zeros(%x: f32) -> (f32, f32) {
  %low = arith.constant -128.0 : f32
  %high = arith.constant 127.0 : f32
  %magic = arith.constant 12582912.0 : f32
  %three = arith.constant 3 : i32
  %0 = arith.maxnumf %x, %low : f32
  %1 = arith.minnumf %0, %high : f32
  %2 = arith.addf %1, %magic : f32
  %3 = arith.bitcast %2 : f32 to i32
  %4 = arith.trunci %3 : i32 to i8
  %5 = arith.extsi %4 : i8 to i32
  %6 = arith.subi %5, %three : i32
  %7 = arith.sitofp %6 : i32 to f32
  %8 = arith.extui %4 : i8 to i32
  %9 = arith.sitofp %8 : i32 to f32
  return %7, %9 : f32, f32
}
