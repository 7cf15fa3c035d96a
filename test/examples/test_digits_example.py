"""examples/quantize reads digits, in 8 bits."""

import re
import subprocess


def test_digits(build_example):
    folder = build_example("quantize")
    done = subprocess.run([folder / "digits", folder / "test.bin"], capture_output=True, text=True, check=True)
    right, count = map(int, re.fullmatch(r"(\d+) of (\d+) digits are right\n", done.stdout).groups())
    assert count == 450 and right >= 0.95 * count
    table = (folder / "layers.txt").read_text()
    assert table.count(" int8\n") >= 1 and "3 layers stay in float" in table and "metric 0." in table
    assert "usage: digits FILE" in subprocess.run([folder / "digits"], capture_output=True, text=True).stderr
