"""Reads assembly and describes its innermost loops of vector arithmetic, in their
order: the basic blocks that jump to themselves.

usage: loops.py FMA SUM < file.s     prints e.g. "fma=48 sum=0 stack=0", a line each

`fma` counts the instructions whose text matches the regular expression FMA, `sum`
those that match SUM (additions, subtractions, products), and `stack` those that
touch the stack pointer, as spilled vectors do.
"""

import re
import sys

from inner_loop import blocks, loop


def main():
    fma, other = (re.compile(argument) for argument in sys.argv[1:])
    for label, block in blocks(sys.stdin):
        body = loop(label, block)
        counts = [sum(bool(regex.match(text)) for text in body) for regex in (fma, other)]
        if sum(counts):
            stack = sum("rsp" in text or re.search(r"\bsp\b", text) is not None for text in body)
            print("fma=%d sum=%d stack=%d" % (*counts, stack))


if __name__ == "__main__":
    main()
