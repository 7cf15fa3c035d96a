// Static shapes, an arena, weights: out[i] = a[i] + b[i] + weights[i].
module attributes {
  dlc.name = "add",
  dlc.inputs = [{name = "a", type = tensor<2x3xf32>},
                {name = "input.1", type = tensor<2x3xf32>}],
  dlc.outputs = [{name = "int", type = tensor<2x3xf32>}],
  dlc.workspace = 128 : i64, dlc.weights_size = 24 : i64,
  dlc.weights = dense<[0, 0, -128, 63, 0, 0, 0, 64, 0, 0, 64, 64,
                       0, 0, -128, 64, 0, 0, -96, 64, 0, 0, -64, 64]>
      : tensor<24xi8>
} {
  llvm.mlir.global external constant @add_weights() {addr_space = 0 : i32}
      : !llvm.array<24 x i8>
  llvm.func @add_main(%ctx: !llvm.ptr) -> i32 {
    %0 = llvm.mlir.constant(0 : i64) : i64
    %1 = llvm.mlir.constant(1 : i64) : i64
    %6 = llvm.mlir.constant(6 : i64) : i64
    %ins = llvm.load %ctx : !llvm.ptr -> !llvm.ptr
    %a = llvm.load %ins : !llvm.ptr -> !llvm.ptr
    %bp = llvm.getelementptr %ins[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %b = llvm.load %bp : !llvm.ptr -> !llvm.ptr
    %op = llvm.getelementptr %ctx[0, 2] : (!llvm.ptr) -> !llvm.ptr,
        !llvm.struct<(ptr, ptr, ptr, ptr)>
    %outs = llvm.load %op : !llvm.ptr -> !llvm.ptr
    %out = llvm.load %outs : !llvm.ptr -> !llvm.ptr
    %ap = llvm.getelementptr %ctx[0, 3] : (!llvm.ptr) -> !llvm.ptr,
        !llvm.struct<(ptr, ptr, ptr, ptr)>
    %arena = llvm.load %ap : !llvm.ptr -> !llvm.ptr
    %w = llvm.mlir.addressof @add_weights : !llvm.ptr
    llvm.br ^head(%0 : i64)
  ^head(%i: i64):
    %more = llvm.icmp "slt" %i, %6 : i64
    llvm.cond_br %more, ^body, ^second(%0 : i64)
  ^body:
    %pa = llvm.getelementptr %a[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %pb = llvm.getelementptr %b[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %pt = llvm.getelementptr %arena[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %va = llvm.load %pa : !llvm.ptr -> f32
    %vb = llvm.load %pb : !llvm.ptr -> f32
    %sum = llvm.fadd %va, %vb : f32
    llvm.store %sum, %pt : f32, !llvm.ptr
    %next = llvm.add %i, %1 : i64
    llvm.br ^head(%next : i64)
  ^second(%j: i64):
    %more2 = llvm.icmp "slt" %j, %6 : i64
    llvm.cond_br %more2, ^body2, ^exit
  ^body2:
    %qt = llvm.getelementptr %arena[%j] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %qw = llvm.getelementptr %w[%j] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %qo = llvm.getelementptr %out[%j] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %vt = llvm.load %qt : !llvm.ptr -> f32
    %vw = llvm.load %qw : !llvm.ptr -> f32
    %r = llvm.fadd %vt, %vw : f32
    llvm.store %r, %qo : f32, !llvm.ptr
    %next2 = llvm.add %j, %1 : i64
    llvm.br ^second(%next2 : i64)
  ^exit:
    %ok = llvm.mlir.constant(0 : i32) : i32
    llvm.return %ok : i32
  }
}
