"""Compiles models with the command dlc, as a user does, and runs the objects:
in this process, or as a program of another target under an emulator."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

BENCH = pathlib.Path(__file__).resolve().parent

DLC = os.environ.get("DLC", str(BENCH.parent / "build" / "bin" / "dlc"))

# Target: compiler, emulator, where the emulator finds the target's libraries.
CROSS = {
    "aarch64": ("aarch64-linux-gnu-gcc", "qemu-aarch64-static", "/usr/aarch64-linux-gnu"),
    "armv7": ("arm-linux-gnueabihf-gcc", "qemu-arm-static", "/usr/arm-linux-gnueabihf"),
    "riscv64": ("riscv64-linux-gnu-gcc", "qemu-riscv64-static", "/usr/riscv64-linux-gnu"),
}


# Runs a command and writes what it used. A process's peak memory counts the
# pages of the process that started it, so this one, which may hold whole
# models, does not start dlc itself.
LAUNCHER = """
import json, resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024], file)
sys.exit(status)
"""


class CompileFailure(Exception):
    """What dlc said."""


@dataclasses.dataclass(frozen=True)
class Object:
    """A compiled model; its symbols begin with network_."""

    path: pathlib.Path
    target: str | None
    seconds: float
    """Processor time of dlc, which other work on the machine does not lengthen."""
    peak: int
    """Bytes that dlc held at most."""
    messages: str
    """What it printed."""

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def compile(
    model: pathlib.Path,
    folder: pathlib.Path,
    target: str | None = None,
    flags: Sequence[str] = (),
    timeout: float = 600,
) -> Object:
    """Compiles a model to network.o and network.h in a folder; without a
    target, for this machine."""
    command = [DLC, str(model)]
    path = folder / "network.o"
    command += ["--name=network", "-o", str(path), *flags]
    if target:
        command.append(f"-target={target}")
    measured = folder / "network.usage"
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(measured)]
    done = subprocess.run(
        [*launch, "timeout", str(timeout), *command], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    if done.returncode:
        text = done.stdout
        if done.returncode == 124:
            text = f"takes longer than {timeout:g} s\n{text}"
        raise CompileFailure(f"status {done.returncode}: {text.strip()}")
    seconds, peak = json.loads(measured.read_text())
    return Object(path, target, seconds, peak, done.stdout)


def print_ir(model: pathlib.Path, phase: str) -> str:
    """What a model is after a phase."""
    command = [DLC, str(model), f"--to={phase}", "-o", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def link_shared(found: Object) -> pathlib.Path:
    """A shared library of the object, for dlc.load."""
    path = found.path.with_name("network.so")
    command = ["cc", "-shared", "-o", path, found.path, "-lm", "-lpthread"]
    subprocess.run(command, check=True)
    return path


def run_emulated(found: Object, inputs: Sequence[np.ndarray], outputs: Sequence[np.dtype],
                 timeout: float = 900) -> list[np.ndarray]:  # fmt: skip
    """Links bench/network.c with the object and runs it under the emulator of
    its target; `outputs` are the types of the outputs."""
    folder = found.path.parent
    program = folder / "network"
    compiler, emulator, libraries = CROSS[found.target]
    command = [compiler, "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-I", folder,
               BENCH / "network.c", found.path, "-o", program, "-lm", "-lpthread"]  # fmt: skip
    subprocess.run(command, check=True)
    shapes = []
    for number, value in enumerate(inputs):
        np.ascontiguousarray(value).tofile(folder / f"input{number}.raw")
        shapes.append("x".join(map(str, value.shape)))
    command = ["timeout", str(timeout), emulator, "-L", libraries, program, folder, *shapes]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{emulator}: status {done.returncode}: {done.stderr.strip()}")
    results = []
    for number, (line, dtype) in enumerate(zip(done.stdout.splitlines(), outputs, strict=True)):
        shape = [int(size) for size in line.split("x") if size]
        results.append(np.fromfile(folder / f"output{number}.raw", dtype).reshape(shape))
    return results
