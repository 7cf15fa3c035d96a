// Dynamic shapes: y[b, 2] = x[b, 2] * scale[b], and a scalar and an unnamed
// dimension that the code does not use.
module attributes {
  dlc.name = "dynamic",
  dlc.inputs = [{name = "x", type = tensor<?x2xf32>, dims = ["batch", ""],
                 max_dims = array<i64: 1000, -1>},
                {name = "scale", type = tensor<?xf32>, dims = ["batch"]},
                {name = "flag", type = tensor<i1>},
                {name = "any/thing", type = tensor<?xf16>, dims = [""]}],
  dlc.outputs = [{name = "y", type = tensor<?x2xf32>, dims = ["batch", ""]}]
} {
  llvm.func @dlc_rt_output(!llvm.ptr, i32, !llvm.ptr, i64) -> !llvm.ptr
  llvm.func @dlc_rt_alloc(!llvm.ptr, i64) -> !llvm.ptr
  llvm.func @dlc_rt_free(!llvm.ptr, !llvm.ptr)
  llvm.func @dlc_rt_status(!llvm.ptr) -> i32
  llvm.func @dynamic_sizes(%in: !llvm.ptr, %out: !llvm.ptr) {
    %batch = llvm.load %in : !llvm.ptr -> i64
    llvm.store %batch, %out : i64, !llvm.ptr
    llvm.return
  }
  llvm.func @dynamic_main(%ctx: !llvm.ptr) -> i32 {
    %0 = llvm.mlir.constant(0 : i64) : i64
    %1 = llvm.mlir.constant(1 : i64) : i64
    %2 = llvm.mlir.constant(2 : i64) : i64
    %8 = llvm.mlir.constant(8 : i64) : i64
    %i0 = llvm.mlir.constant(0 : i32) : i32
    %null = llvm.mlir.zero : !llvm.ptr
    %ins = llvm.load %ctx : !llvm.ptr -> !llvm.ptr
    %x = llvm.load %ins : !llvm.ptr -> !llvm.ptr
    %sp = llvm.getelementptr %ins[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %scale = llvm.load %sp : !llvm.ptr -> !llvm.ptr
    %shp = llvm.getelementptr %ctx[0, 1] : (!llvm.ptr) -> !llvm.ptr,
        !llvm.struct<(ptr, ptr, ptr, ptr)>
    %shapes = llvm.load %shp : !llvm.ptr -> !llvm.ptr
    %shape = llvm.load %shapes : !llvm.ptr -> !llvm.ptr
    %batch = llvm.load %shape : !llvm.ptr -> i64
    %bytes = llvm.mul %batch, %8 : i64
    %tmp = llvm.call @dlc_rt_alloc(%ctx, %bytes) : (!llvm.ptr, i64) -> !llvm.ptr
    %leak = llvm.call @dlc_rt_alloc(%ctx, %8) : (!llvm.ptr, i64) -> !llvm.ptr
    llvm.call @dlc_rt_free(%ctx, %tmp) : (!llvm.ptr, !llvm.ptr) -> ()
    %y = llvm.call @dlc_rt_output(%ctx, %i0, %shape, %bytes)
        : (!llvm.ptr, i32, !llvm.ptr, i64) -> !llvm.ptr
    %bad = llvm.icmp "eq" %y, %null : !llvm.ptr
    llvm.cond_br %bad, ^exit, ^head(%0 : i64)
  ^head(%i: i64):
    %more = llvm.icmp "slt" %i, %batch : i64
    llvm.cond_br %more, ^body, ^exit
  ^body:
    %ps = llvm.getelementptr %scale[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %s = llvm.load %ps : !llvm.ptr -> f32
    %k0 = llvm.mul %i, %2 : i64
    %k1 = llvm.add %k0, %1 : i64
    %px0 = llvm.getelementptr %x[%k0] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %px1 = llvm.getelementptr %x[%k1] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %py0 = llvm.getelementptr %y[%k0] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %py1 = llvm.getelementptr %y[%k1] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %x0 = llvm.load %px0 : !llvm.ptr -> f32
    %x1 = llvm.load %px1 : !llvm.ptr -> f32
    %y0 = llvm.fmul %x0, %s : f32
    %y1 = llvm.fmul %x1, %s : f32
    llvm.store %y0, %py0 : f32, !llvm.ptr
    llvm.store %y1, %py1 : f32, !llvm.ptr
    %next = llvm.add %i, %1 : i64
    llvm.br ^head(%next : i64)
  ^exit:
    %status = llvm.call @dlc_rt_status(%ctx) : (!llvm.ptr) -> i32
    llvm.return %status : i32
  }
}
