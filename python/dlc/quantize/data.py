"""Calibration data as batches: any iterable, read ahead by one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Data = Any
"""Batches, or a function that gives them. A batch is a dict of arrays, a list of
them in the order of the inputs, or the array of the only input. In `quantize` and
`quantize_mixed` also the path of files of arrays."""


def prefetch(source: Iterable[Any]) -> Iterator[Any]:
    """The same, made in another thread while the one before is used: two are in
    memory, and no more."""
    item: list[Any] = []
    error: list[BaseException] = []
    wanted, made = threading.Semaphore(1), threading.Semaphore(0)
    stopped = threading.Event()

    def work() -> None:
        try:
            iterator = iter(source)
            while True:
                wanted.acquire()
                if stopped.is_set():
                    break
                try:
                    value = next(iterator)
                except StopIteration:
                    break
                item.append(value)
                del value
                made.release()
        except BaseException as caught:  # noqa: BLE001 - raised again where it is seen
            error.append(caught)
        finally:
            made.release()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            made.acquire()
            if error:
                raise error[0]
            if not item:
                return
            value = item.pop()
            wanted.release()
            yield value
            del value
    finally:
        stopped.set()
        wanted.release()
        thread.join()


def open_data(data: Data, inputs: Sequence[str], first: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """The batches of `data` from the number `first` on, as dicts."""
    if first and hasattr(data, "read_from"):
        source: Iterable[Any] = data.read_from(first)
    else:
        source = data() if callable(data) else data
        source = (x for i, x in enumerate(source) if i >= first)
    for batch in prefetch(source):
        yield as_dict(batch, inputs)


def as_dict(batch: Any, inputs: Sequence[str]) -> dict[str, np.ndarray]:
    if isinstance(batch, Mapping):
        return {str(name): np.asarray(value) for name, value in batch.items()}
    values = list(batch) if isinstance(batch, (list, tuple)) else [batch]
    if len(values) != len(inputs):
        raise ValueError(f"expected a batch of {len(inputs)} arrays, found {len(values)}")
    return dict(zip(inputs, map(np.asarray, values)))


def can_restart(data: Data) -> bool:
    """Whether the batches can be had a second time."""
    return callable(data) or (isinstance(data, Iterable) and iter(data) is not data)


def gather(samples: Iterable[Mapping[str, np.ndarray]], size: int) -> Iterator[dict[str, np.ndarray]]:
    """Batches of so many samples; the last ones that fill none are left out."""
    held: list[Mapping[str, np.ndarray]] = []
    for sample in samples:
        held.append(sample)
        if len(held) == size:
            yield {name: np.stack([s[name] for s in held]) for name in held[0]}
            held = []
