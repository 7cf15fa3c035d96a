"""Runs calibration data through a quantizer: with progress, and so that it can
be interrupted."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

import numpy as np

from dlc.quantize.data import Data, can_restart, open_data
from dlc.quantize.files import reading
from dlc.quantize.probes import Probe
from dlc.quantize.quantizer import Quantizer


class State:
    """What an interrupted calibration has seen, beside the output."""

    def __init__(self, output: pathlib.Path, fingerprint: str) -> None:
        self.path = output.with_name(output.name + ".calibration.npz")
        self.fingerprint = fingerprint

    def load(self, quantizer: Quantizer) -> int:
        """How many batches of the pass were seen; 0 where the state is of something
        else."""
        if not self.path.exists():
            return 0
        with reading(self.path), np.load(self.path, allow_pickle=False) as file:
            if str(file["fingerprint"]) != self.fingerprint:
                return 0
            saved = {name: file[name] for name in file.files}
        for number in range(int(saved["passes"]) + 1):
            for i, probe in enumerate(quantizer.probes):
                names = sorted(n for n in saved if n.startswith(f"{number} {i} "))
                probe.load([saved[name] for name in names])
            if number < int(saved["passes"]):
                quantizer.batches = 1
                quantizer.end_pass()
        quantizer.batches = int(saved["batches"])
        return quantizer.batches

    def save(self, quantizer: Quantizer) -> None:
        passes: list[list[Probe]] = [*quantizer.past, quantizer.probes]
        arrays = {f"{number} {i} {j}": array for number, probes in enumerate(passes)
                  for i, probe in enumerate(probes) for j, array in enumerate(probe.save())}  # fmt: skip
        part = self.path.with_suffix(".part")
        with open(part, "wb") as file:
            np.savez_compressed(file, fingerprint=self.fingerprint, batches=quantizer.batches,
                                passes=len(quantizer.past), **arrays)  # fmt: skip
        part.replace(self.path)


def calibrate(
    quantizer: Quantizer,
    data: Data,
    state: State | None = None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """All passes. Interrupted (KeyboardInterrupt), it saves what was seen."""
    if quantizer.passes > 1 and not can_restart(data):
        raise ValueError("expected data that can be read twice, since activations are smoothed: a list, a "
                         "reader, or a function that gives an iterator")  # fmt: skip
    if state:
        state.load(quantizer)
    count = len(data) if hasattr(data, "__len__") else None
    begin = shown = time.monotonic()
    seen = 0
    try:
        while quantizer.needs_data:
            for batch in open_data(data, quantizer.inputs, quantizer.batches):
                quantizer.observe(batch)
                seen += 1
                now = time.monotonic()
                if progress and (now - shown > 1 or quantizer.batches == count):
                    progress(_describe(quantizer, count, (now - begin) / seen))
                    shown = now
            quantizer.end_pass()
    except KeyboardInterrupt:
        if state:
            state.save(quantizer)
        raise


def _describe(quantizer: Quantizer, count: int | None, seconds: float) -> str:
    part = f" (pass {quantizer.number + 1} of {quantizer.passes})" if quantizer.passes > 1 else ""
    if count is None:
        return f"calibrating: {quantizer.batches} batches{part}"
    left = count - quantizer.batches + count * (quantizer.passes - quantizer.number - 1)
    return f"calibrating: {quantizer.batches} of {count} batches{part}, {seconds * left:.0f} s left"
