"""Runs calibration data through a quantizer: with progress, and so that it can
be interrupted."""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import time
from collections.abc import Callable, Iterator

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
        saved = self._read()
        if str(saved["fingerprint"]) != self.fingerprint:
            return 0
        for number in range(int(saved["passes"]) + 1):
            for i, probe in enumerate(quantizer.probes):
                names = (f"{number} {i} {j}" for j in itertools.count())
                probe.load([saved[name] for name in itertools.takewhile(saved.__contains__, names)])
            if number < int(saved["passes"]):
                quantizer.batches = 1
                quantizer.end_pass()
        quantizer.batches = int(saved["batches"])
        return quantizer.batches

    def _read(self) -> dict[str, np.ndarray]:
        try:
            with reading(self.path), np.load(self.path, allow_pickle=False) as file:
                saved = {name: file[name] for name in file.files}
                if not saved.keys() >= {"fingerprint", "passes", "batches"}:
                    raise ValueError("other arrays")
                return saved
        except (ValueError, TypeError, AttributeError):
            raise ValueError(f"expected what an interrupted calibration has seen in '{self.path}', found "
                             "a damaged file or another one; without it the calibration begins anew") from None

    def save(self, quantizer: Quantizer) -> None:
        passes: list[list[Probe]] = [*quantizer.past, quantizer.probes]
        arrays = {f"{number} {i} {j}": array for number, probes in enumerate(passes)
                  for i, probe in enumerate(probes) for j, array in enumerate(probe.save())}  # fmt: skip
        part = self.path.with_suffix(".part")
        with open(part, "wb") as file:
            np.savez_compressed(file, fingerprint=self.fingerprint, batches=quantizer.batches,
                                passes=len(quantizer.past), **arrays)  # fmt: skip
        part.replace(self.path)


class Pace:
    """How long a batch takes. The first of a pass is not asked: it compiles."""

    def __init__(self) -> None:
        self.last: float | None = None
        self.total, self.batches = 0.0, 0

    def pause(self) -> None:
        self.last = None

    def count(self, now: float) -> None:
        if self.last is not None:
            self.total, self.batches = self.total + now - self.last, self.batches + 1
        self.last = now

    @property
    def seconds(self) -> float | None:
        return self.total / self.batches if self.batches else None


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
    pace, shown = Pace(), time.monotonic()
    try:
        while quantizer.needs_data:
            pace.pause()
            for batch in open_data(data, quantizer.inputs, quantizer.batches):
                with _naming(data, quantizer.batches):
                    quantizer.observe(batch)
                now = time.monotonic()
                pace.count(now)
                if progress and (now - shown > 1 or quantizer.batches == count):
                    progress(_describe(quantizer, count, pace.seconds))
                    shown = now
            quantizer.end_pass()
    except KeyboardInterrupt:
        if state:
            state.save(quantizer)
        raise


@contextlib.contextmanager
def _naming(data: Data, number: int) -> Iterator[None]:
    """Errors say of which file a batch is."""
    try:
        yield
    except ValueError as error:
        where = data.name_of(number) if hasattr(data, "name_of") else f"batch {number + 1}"
        raise ValueError(str(error) if where in str(error) else f"{where}: {error}") from None


def _describe(quantizer: Quantizer, count: int | None, seconds: float | None) -> str:
    part = f" (pass {quantizer.number + 1} of {quantizer.passes})" if quantizer.passes > 1 else ""
    if count is None:
        return f"calibrating: {quantizer.batches} batches{part}"
    left = count - quantizer.batches + count * (quantizer.passes - quantizer.number - 1)
    done = f"calibrating: {quantizer.batches} of {count} batches{part}"
    return done if left and seconds is None else f"{done}, {(seconds or 0) * left:.0f} s left"
