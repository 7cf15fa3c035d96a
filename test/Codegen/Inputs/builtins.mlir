// Arithmetic that small CPUs leave to functions of a compiler's library:
// q = a / b and r = a % b in i64 and i32, f32 -> f16 -> f32, f32 and f64 -> bf16, i64 <-> f32 and
// f64. Every element is written to its own place of the outputs.
module attributes {
  dlc.name = "builtins",
  dlc.inputs = [{name = "a", type = tensor<i64>},
                {name = "b", type = tensor<i64>},
                {name = "f", type = tensor<f32>}],
  dlc.outputs = [{name = "ints", type = tensor<8xi64>},
                 {name = "floats", type = tensor<4xf32>},
                 {name = "half", type = tensor<2xf16>},
                 {name = "doubles", type = tensor<2xf64>},
                 {name = "bfloat", type = tensor<2xbf16>}]
} {
  llvm.func @builtins_main(%ctx: !llvm.ptr) -> i32 {
    %ins = llvm.load %ctx : !llvm.ptr -> !llvm.ptr
    %op = llvm.getelementptr %ctx[0, 2] : (!llvm.ptr) -> !llvm.ptr,
        !llvm.struct<(ptr, ptr, ptr, ptr)>
    %outs = llvm.load %op : !llvm.ptr -> !llvm.ptr
    %pa = llvm.load %ins : !llvm.ptr -> !llvm.ptr
    %ppb = llvm.getelementptr %ins[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %pb = llvm.load %ppb : !llvm.ptr -> !llvm.ptr
    %ppf = llvm.getelementptr %ins[2] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %pf = llvm.load %ppf : !llvm.ptr -> !llvm.ptr
    %ints = llvm.load %outs : !llvm.ptr -> !llvm.ptr
    %pp1 = llvm.getelementptr %outs[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %floats = llvm.load %pp1 : !llvm.ptr -> !llvm.ptr
    %pp2 = llvm.getelementptr %outs[2] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %half = llvm.load %pp2 : !llvm.ptr -> !llvm.ptr
    %pp3 = llvm.getelementptr %outs[3] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %doubles = llvm.load %pp3 : !llvm.ptr -> !llvm.ptr
    %pp4 = llvm.getelementptr %outs[4] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %bfloat = llvm.load %pp4 : !llvm.ptr -> !llvm.ptr
    %a = llvm.load %pa : !llvm.ptr -> i64
    %b = llvm.load %pb : !llvm.ptr -> i64
    %f = llvm.load %pf : !llvm.ptr -> f32
    %a32 = llvm.trunc %a : i64 to i32
    %b32 = llvm.trunc %b : i64 to i32
    %q = llvm.sdiv %a, %b : i64
    %r = llvm.srem %a, %b : i64
    %uq = llvm.udiv %a, %b : i64
    %ur = llvm.urem %a, %b : i64
    %q32 = llvm.sdiv %a32, %b32 : i32
    %r32 = llvm.srem %a32, %b32 : i32
    %uq32 = llvm.udiv %a32, %b32 : i32
    %q32x = llvm.sext %q32 : i32 to i64
    %r32x = llvm.sext %r32 : i32 to i64
    %uq32x = llvm.zext %uq32 : i32 to i64
    %fi = llvm.fptosi %f : f32 to i64
    %i1 = llvm.getelementptr %ints[1] : (!llvm.ptr) -> !llvm.ptr, i64
    %i2 = llvm.getelementptr %ints[2] : (!llvm.ptr) -> !llvm.ptr, i64
    %i3 = llvm.getelementptr %ints[3] : (!llvm.ptr) -> !llvm.ptr, i64
    %i4 = llvm.getelementptr %ints[4] : (!llvm.ptr) -> !llvm.ptr, i64
    %i5 = llvm.getelementptr %ints[5] : (!llvm.ptr) -> !llvm.ptr, i64
    %i6 = llvm.getelementptr %ints[6] : (!llvm.ptr) -> !llvm.ptr, i64
    %i7 = llvm.getelementptr %ints[7] : (!llvm.ptr) -> !llvm.ptr, i64
    llvm.store %q, %ints : i64, !llvm.ptr
    llvm.store %r, %i1 : i64, !llvm.ptr
    llvm.store %uq, %i2 : i64, !llvm.ptr
    llvm.store %ur, %i3 : i64, !llvm.ptr
    llvm.store %q32x, %i4 : i64, !llvm.ptr
    llvm.store %r32x, %i5 : i64, !llvm.ptr
    llvm.store %uq32x, %i6 : i64, !llvm.ptr
    llvm.store %fi, %i7 : i64, !llvm.ptr
    %af = llvm.sitofp %a : i64 to f32
    %auf = llvm.uitofp %a : i64 to f32
    %h = llvm.fptrunc %f : f32 to f16
    %hf = llvm.fpext %h : f16 to f32
    %fd = llvm.fpext %f : f32 to f64
    %tenth = llvm.mlir.constant(0.1 : f64) : f64
    %fdt = llvm.fmul %fd, %tenth : f64
    %hd = llvm.fptrunc %fdt : f64 to f16
    %hdf = llvm.fpext %hd : f16 to f32
    %ad = llvm.sitofp %a : i64 to f64
    %aud = llvm.uitofp %a : i64 to f64
    %f1 = llvm.getelementptr %floats[1] : (!llvm.ptr) -> !llvm.ptr, f32
    %f2 = llvm.getelementptr %floats[2] : (!llvm.ptr) -> !llvm.ptr, f32
    %f3 = llvm.getelementptr %floats[3] : (!llvm.ptr) -> !llvm.ptr, f32
    %h1 = llvm.getelementptr %half[1] : (!llvm.ptr) -> !llvm.ptr, f16
    %d1 = llvm.getelementptr %doubles[1] : (!llvm.ptr) -> !llvm.ptr, f64
    llvm.store %af, %floats : f32, !llvm.ptr
    llvm.store %auf, %f1 : f32, !llvm.ptr
    llvm.store %hf, %f2 : f32, !llvm.ptr
    llvm.store %hdf, %f3 : f32, !llvm.ptr
    llvm.store %h, %half : f16, !llvm.ptr
    llvm.store %hd, %h1 : f16, !llvm.ptr
    llvm.store %ad, %doubles : f64, !llvm.ptr
    llvm.store %aud, %d1 : f64, !llvm.ptr
    %bf = llvm.fptrunc %f : f32 to bf16
    %bd = llvm.fptrunc %fdt : f64 to bf16
    %b1 = llvm.getelementptr %bfloat[1] : (!llvm.ptr) -> !llvm.ptr, bf16
    llvm.store %bf, %bfloat : bf16, !llvm.ptr
    llvm.store %bd, %b1 : bf16, !llvm.ptr
    %ok = llvm.mlir.constant(0 : i32) : i32
    llvm.return %ok : i32
  }
}
