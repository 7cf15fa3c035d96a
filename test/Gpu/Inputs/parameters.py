"""Prints a kernel with as many buffers as the argument says."""

import sys

count = int(sys.argv[1])
TYPE, MAP = "memref<4xf32>", "affine_map<(i) -> (i)>"
names = [f"%x{i}" for i in range(count)]
types = ", ".join([TYPE] * count)
print(f"""func.func @main(%run: !llvm.ptr) -> i32 {{
  %0 = dlc.arena 0 : {TYPE}
  call @k({", ".join(["%0"] * count)}) : ({types}) -> ()
  %status = arith.constant 0 : i32
  return %status : i32
}}
func.func private @k({", ".join(f"{name}: {TYPE}" for name in names)}) {{
  linalg.generic {{indexing_maps = [{", ".join([MAP] * count)}], iterator_types = ["parallel"]}}
      ins({", ".join(names[:-1])} : {", ".join([TYPE] * (count - 1))}) outs({names[-1]} : {TYPE}) {{
  ^bb0({", ".join(f"%b{i}: f32" for i in range(count))}):
    linalg.yield %b0 : f32
  }}
  return
}}""")
