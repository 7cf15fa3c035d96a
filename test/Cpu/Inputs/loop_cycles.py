"""Reads assembly and says what llvm-mca makes of its hottest loop.

usage: loop_cycles.py REGEX TRIPLE CPU < file.s

The bound is the larger of two: that of the ports that multiply-adds, which
REGEX matches, can go to (the time that all instructions take of them, shared
evenly), and llvm-mca's own for the block, which knows how many instructions are
dispatched in a cycle. Prints e.g. "48 in 31.1 cycles, ports 24.5, block 30.0,
within 1.15".
"""

import re
import subprocess
import sys

from inner_loop import hottest

ITERATIONS = 200


def read_pressures(text):
    """The time an iteration takes of each port, and the same by instruction."""

    def numbers(line):
        found = re.match(r"((?:\s+(?:-|[\d.]+)(?=\s))+)\s*(.*)", " " + line)
        return [0.0 if word == "-" else float(word) for word in found[1].split()], found[2]

    lines = iter(text.splitlines())
    while "Resource pressure per iteration" not in next(lines):
        pass
    next(lines)
    whole, _ = numbers(next(lines))
    while "Resource pressure by instruction" not in next(lines):
        pass
    next(lines)
    return whole, [numbers(line) for line in lines if line.strip()]


def main():
    regex, triple, cpu = sys.argv[1:]
    count, body = hottest(sys.stdin, regex)
    text = subprocess.run(
        ["llvm-mca", f"-mtriple={triple}", f"-mcpu={cpu}", f"-iterations={ITERATIONS}",
         "-instruction-info=false"],
        input="\n".join(body) + "\n", capture_output=True, text=True, check=True,
    ).stdout
    cycles = int(re.search(r"Total Cycles:\s+(\d+)", text)[1]) / ITERATIONS
    whole, each = read_pressures(text)
    ports = {i for used, op in each if re.match(regex, re.sub(r"\s+", " ", op))
             for i, time in enumerate(used) if time}
    bound = sum(whole[i] for i in ports) / len(ports)
    block = float(re.search(r"Block RThroughput:\s+([\d.]+)", text)[1])
    ratio = cycles / max(bound, block)
    within = "within 1.15" if ratio <= 1.15 else f"beyond 1.15: {ratio:.3f}"
    print(f"{count} in {cycles:.1f} cycles, ports {bound:.1f}, block {block:.1f}, {within}")


main()
