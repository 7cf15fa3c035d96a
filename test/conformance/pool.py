"""Runs tests in forked processes, so that a crash ends one test only."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pathlib
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

_fork = multiprocessing.get_context("fork")


class _Worker:
    """A process that does one task after the other."""

    def __init__(self, work: Callable[[int], Any], log: pathlib.Path) -> None:
        self.log = log
        self.connection, theirs = _fork.Pipe()
        self.process = _fork.Process(target=_serve, args=(work, theirs, log), daemon=True)
        self.process.start()
        theirs.close()
        self.task: int | None = None
        self.deadline = 0.0

    def give(self, task: int, timeout: float) -> None:
        self.task = task
        self.deadline = time.monotonic() + timeout
        self.log.write_bytes(b"")
        self.connection.send(task)

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def _serve(work: Callable[[int], Any], connection: Any, log: pathlib.Path) -> None:
    # What LLVM says before it aborts goes to the standard error.
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(work(task))


def run(
    work: Callable[[int], Any],
    count: int,
    jobs: int,
    timeout: float,
    crashed: Callable[[str], Any],
) -> Iterator[tuple[int, Any]]:
    """Yields (i, work(i)) for i < count, in the order in which they end. Where
    the process dies or takes too long, crashed(why) stands for work(i)."""
    waiting = iter(range(count))
    with tempfile.TemporaryDirectory() as folder:
        logs = [pathlib.Path(folder, str(i)) for i in range(min(jobs, count))]
        workers = [_Worker(work, log) for log in logs]
        busy = [worker for worker in workers if _give_next(worker, waiting, timeout)]
        while busy:
            first = min(worker.deadline for worker in busy)
            ready = multiprocessing.connection.wait(
                [worker.connection for worker in busy], max(0.0, first - time.monotonic())
            )
            for worker in list(busy):
                late = time.monotonic() > worker.deadline
                if worker.connection not in ready and not late:
                    continue
                task = worker.task
                assert task is not None
                why = f"no end after {timeout:.0f} s"
                if worker.connection in ready:
                    try:
                        yield task, worker.connection.recv()
                        why = ""
                    except (EOFError, ConnectionResetError):
                        worker.process.join()
                        why = _describe_death(worker)
                busy.remove(worker)
                if why:
                    worker.end()
                    yield task, crashed(why)
                    worker = _Worker(work, worker.log)
                if _give_next(worker, waiting, timeout):
                    busy.append(worker)
                else:
                    worker.end()


def _give_next(worker: _Worker, waiting: Iterator[int], timeout: float) -> bool:
    task = next(waiting, None)
    if task is not None:
        worker.give(task, timeout)
    return task is not None


def _describe_death(worker: _Worker) -> str:
    code = worker.process.exitcode or 0
    name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    lines = worker.log.read_text(errors="replace").strip().splitlines()
    said = next((line for line in lines if "rror" in line or "Assert" in line), "")
    return f"{name}: {said}"[:300] if said else name
