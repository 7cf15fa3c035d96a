"""Prints products with 1 to 32 rows, with a right operand in panels of the width
that is named and with one as it lies.

usage: few_rows.py PANEL
"""

import sys

SUMS, COLUMNS = 512, 512
PRODUCT = """
func.func @{name}{rows}(%x: memref<{rows}x{sums}xf32>, %w: {type}, %o: memref<{rows}x{columns}xf32>) attributes {{llvm.emit_c_interface}} {{
  dlc.contract %x, %w outs %o
      [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> ({place})>, affine_map<(m, n, k) -> (m, n)>]
      : memref<{rows}x{sums}xf32>, {type}, memref<{rows}x{columns}xf32> {{
  ^bb0(%s: f32):
    dlc.yield %s : f32
  }}
  return
}}
"""


def main():
    panel = int(sys.argv[1])
    forms = {
        "packed": (f"memref<{COLUMNS // panel}x{SUMS}x{panel}xf32>",
                   f"n floordiv {panel}, k, n mod {panel}"),
        "plain": (f"memref<{SUMS}x{COLUMNS}xf32>", "k, n"),
    }  # fmt: skip
    for name, (type, place) in forms.items():
        for rows in range(1, 33):
            print(PRODUCT.format(name=name, rows=rows, type=type, place=place, sums=SUMS,
                                 columns=COLUMNS))  # fmt: skip


if __name__ == "__main__":
    main()
