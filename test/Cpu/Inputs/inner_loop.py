"""Reads assembly and describes its hottest loop: the basic block that jumps to
itself with the most multiply-adds in it.

usage: inner_loop.py REGEX < file.s     prints e.g. "fma=48 stack=0"

`fma` counts the instructions whose mnemonic matches REGEX, `stack` those that
touch the stack pointer (spilled sums would).
"""

import re
import sys


def blocks(lines):
    """(label, instructions) of every basic block that has a label."""
    label, body = None, []
    for line in lines:
        match = re.match(r"^(\.?[\w$]+):", line)
        if match:
            yield label, body
            label, body = match.group(1), []
            continue
        text = re.split(r"\s[#@]|//", line)[0].strip()
        if text and not text.startswith("."):
            body.append(text)
    yield label, body


def loop(label, body):
    """The instructions up to a jump back to the block's own label, or none."""
    for i, text in enumerate(body):
        if label is not None and re.split(r"[\s,]+", text)[-1] == label:
            return body[:i]
    return []


def main():
    fma = re.compile(sys.argv[1])
    best = (0, 0)
    for label, body in blocks(sys.stdin):
        body = loop(label, body)
        count = sum(bool(fma.match(text)) for text in body)
        stack = sum("rsp" in text or re.search(r"\bsp\b", text) is not None
                    for text in body)
        best = max(best, (count, stack))
    print("fma=%d stack=%d" % best)


main()
