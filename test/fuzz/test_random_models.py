"""A fixed sample of the fuzzer's models. run.py makes as many as one wants."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_sample():
    command = [sys.executable, ROOT / "test" / "fuzz" / "run.py", "--seed=100000", "--count=80"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " pass" in done.stdout
