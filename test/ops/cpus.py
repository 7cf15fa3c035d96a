"""The CPUs that kernels are compiled for, and which of them this machine is."""

from pathlib import Path

import pytest

# (target cpu, what /proc/cpuinfo calls what it has more than x86-64)
UNITS = {"x86-64-v3": "avx2", "x86-64-v4": "avx512bw"}


def skip_unless_runs(cpu):
    """Skips a test on a machine that lacks what code for `cpu`, one of UNITS,
    needs."""
    if UNITS[cpu] not in Path("/proc/cpuinfo").read_text().split():
        pytest.skip(f"this machine has no {UNITS[cpu]}")
