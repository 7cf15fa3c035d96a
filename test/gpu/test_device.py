"""What needs a GPU; skipped, and says so, where there is none."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
BENCH = HERE.parents[1] / "bench"


def find_architecture():
    """Of this machine's GPU, asked in a process that has no fake driver."""
    script = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import gpu; "
    script += "import json; print(json.dumps(gpu.find_gpu()))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return json.loads(found.stdout)


def test_networks_on_a_gpu():
    found = find_architecture()
    if isinstance(found, str):
        pytest.skip(found)
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, HERE / "on_device.py", found[1]], check=True,
                   env={**os.environ, "PYTHONPATH": path})  # fmt: skip


def test_the_benchmark_says_that_it_is_skipped():
    found = find_architecture()
    if not isinstance(found, str):
        pytest.skip("this machine has a GPU")
    done = subprocess.run([BENCH / "gpu"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"bench/gpu: skipped: {found}"
