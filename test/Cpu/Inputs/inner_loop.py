"""Reads assembly and describes its hottest loop: the basic block that jumps to
itself with the most multiply-adds in it.

usage: inner_loop.py REGEX < file.s     prints e.g. "fma=48 stack=0 scalar=0"

`fma` counts the instructions whose mnemonic matches REGEX, `stack` those that
touch the stack pointer (spilled sums would), `scalar` those that compute with
single numbers, as the rest of a row would.
"""

import re
import sys


# x86; AArch64; Armv7.
SCALAR = re.compile(
    r"v(f\w+|add|mul|sub)s[sd]\s|f?m(add|la|ul)\s+[sdwx]\d|v(fma|mla|mul|add)\.f32\s+s\d|imul|mla\s"
)


def blocks(lines):
    """(label, instructions) of every basic block that has a label."""
    label, body = None, []
    for line in lines:
        match = re.match(r"^(\.?[\w$]+):", line)
        if match:
            yield label, body
            label, body = match.group(1), []
            continue
        text = re.split(r"\s[#@]+\s|//", line)[0].strip()
        if text and not text.startswith("."):
            body.append(text)
    yield label, body


def loop(label, body):
    """The instructions up to a jump back to the block's own label, or none."""
    for i, text in enumerate(body):
        if label is not None and re.split(r"[\s,]+", text)[-1] == label:
            return body[:i]
    return []


def hottest(lines, regex):
    """How many multiply-adds are in the hottest loop, and its instructions."""
    fma = re.compile(regex)
    loops = [loop(label, body) for label, body in blocks(lines)]
    return max((sum(bool(fma.match(text)) for text in body), body) for body in loops)


def main():
    count, body = hottest(sys.stdin, sys.argv[1])
    stack = sum("rsp" in text or re.search(r"\bsp\b", text) is not None for text in body)
    scalar = sum(SCALAR.match(text) is not None for text in body)
    print("fma=%d stack=%d scalar=%d" % (count, stack, scalar))


if __name__ == "__main__":
    main()
