"""How long the nodes of a model take.

usage: dlc profile model.onnx [--inputs=x.npz] [--dim=name=size] ...

Compiles the model for this machine with --profile, runs it and prints the time
of each node, what took longest first. `Model.profile` does the same from
Python; what it returns, a `Profile`, is written here as a table, as a trace for
Chrome or Perfetto, and as a picture.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

import dlc
from dlc import library


@dataclasses.dataclass(frozen=True)
class Event:
    """Time at a node or, on one of the threads, at a part of its work; in
    seconds since the run began."""

    node: str
    thread: int
    is_part: bool
    begin: float
    end: float

    @property
    def time(self) -> float:
        return self.end - self.begin


@dataclasses.dataclass(frozen=True)
class Row:
    """A node in the fastest run; times in seconds."""

    node: str
    time: float
    calls: int
    """Of a node in a loop there are several."""
    threads: float
    """How many were at work, on average."""


@dataclasses.dataclass(frozen=True)
class Profile:
    """The times of some runs of a model."""

    model: str
    runs: list[list[Event]]
    durations: list[float]
    """Of whole runs, in seconds."""
    lost: int
    """Events that had no room."""

    @property
    def fastest(self) -> int:
        """Which of the runs other work disturbed least."""
        return min(range(len(self.durations)), key=lambda i: self.durations[i])

    def rows(self) -> list[Row]:
        """A row for each node that ran, what took longest first."""
        times: dict[str, float] = {}
        calls: dict[str, int] = {}
        parts: dict[str, float] = {}
        for event in self.runs[self.fastest]:
            if event.is_part:
                parts[event.node] = parts.get(event.node, 0) + event.time
            else:
                times[event.node] = times.get(event.node, 0) + event.time
                calls[event.node] = calls.get(event.node, 0) + 1
        rows = [
            Row(node, time, calls[node], parts[node] / max(time, 1e-9) if node in parts else 1.0)
            for node, time in times.items()
        ]
        return sorted(rows, key=lambda row: (-row.time, row.node))

    def table(self, most: int | None = None) -> str:
        """The rows as text; `most` leaves out those that took least."""
        rows = self.rows()
        run = self.durations[self.fastest]
        nodes = sum(row.time for row in rows)
        lines = [
            f"{self.model}: fastest of {len(self.runs)} runs {run * 1e3:.3f} ms, "
            f"{100 * nodes / run:.1f} % of it in nodes",
            "       ms       %   calls  threads  node",
        ]
        for row in rows[:most]:
            lines.append(
                f"{row.time * 1e3:9.4f}  {100 * row.time / run:6.2f}  {row.calls:6}  "
                f"{row.threads:7.2f}  {row.node}"
            )
        if most is not None and len(rows) > most:
            rest = sum(row.time for row in rows[most:])
            lines.append(
                f"{rest * 1e3:9.4f}  {100 * rest / run:6.2f}  {'':6}  {'':7}  "
                f"{len(rows) - most} more"
            )
        if self.lost:
            lines.append(f"{self.lost} events had no room and are missing")
        return "\n".join(lines)

    def trace(self) -> str:
        """The runs one behind the other as JSON, in Chrome's trace format: for
        chrome://tracing, ui.perfetto.dev or speedscope.app."""
        events: list[dict[str, Any]] = []
        threads = {event.thread for run in self.runs for event in run} | {0}
        for thread in sorted(threads):
            name = "run" if thread == 0 else f"thread {thread}"
            events.append({"ph": "M", "pid": 1, "tid": thread, "name": "thread_name",
                           "args": {"name": name}})  # fmt: skip
        start = 0.0
        for run, duration in zip(self.runs, self.durations):
            events.append(_complete(self.model, "run", 0, start, duration))
            for event in run:
                kind = "part" if event.is_part else "node"
                events.append(
                    _complete(event.node, kind, event.thread, start + event.begin, event.time)
                )
            start += duration
        return json.dumps(events)

    def svg(self, most: int = 40) -> str:
        """Bars of the nodes that took longest, below each other, and when each
        thread was at work in the fastest run."""
        return _draw(self, most)


def _complete(name: str, kind: str, thread: int, begin: float, time: float) -> dict[str, Any]:
    return {"ph": "X", "pid": 1, "tid": thread, "name": name, "cat": kind,
            "ts": round(begin * 1e6, 3), "dur": round(time * 1e6, 3)}  # fmt: skip


_COLORS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5")


def _draw(profile: Profile, most: int) -> str:
    width, left, line = 960, 24, 18
    rows = profile.rows()[:most]
    run = profile.durations[profile.fastest]
    colors = {row.node: _COLORS[i % len(_COLORS)] for i, row in enumerate(rows)}
    parts = [f'<text x="{left}" y="24" font-size="15">{escape(profile.model)}: '
             f"{run * 1e3:.3f} ms a run</text>"]  # fmt: skip

    def rectangle(x: float, y: float, length: float, height: int, node: str) -> str:
        return (f'<rect x="{x:.2f}" y="{y}" width="{max(length, 0.2):.2f}" height="{height}" '
                f'fill="{colors.get(node, "#bbbbbb")}"><title>{escape(node)}</title></rect>')  # fmt: skip

    # The timeline: what a thread did. A node without parts is the run's thread's.
    events = profile.runs[profile.fastest]
    shared = {event.node for event in events if event.is_part}
    threads = sorted({event.thread for event in events} | {0})
    scale = (width - 2 * left) / max(run, 1e-9)
    y = 40
    for thread in threads:
        parts.append(f'<text x="8" y="{y + 15}">{thread}</text>')
        for event in events:
            if event.thread == thread and (event.is_part or event.node not in shared):
                parts.append(
                    rectangle(left + event.begin * scale, y, event.time * scale, 22, event.node)
                )
        y += 26
    y += 14
    longest = max((row.time for row in rows), default=1e-9)
    for row in rows:
        length = row.time / max(longest, 1e-9) * (width - 2 * left - 480)
        parts.append(rectangle(left, y, length, line - 4, row.node))
        parts.append(
            f'<text x="{left + length + 6:.1f}" y="{y + 11}">{row.time * 1e3:.3f} ms, '
            f"{100 * row.time / run:.1f} %: {escape(_shorten(row.node))}</text>"
        )
        y += line
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 12}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", "",
    ])  # fmt: skip


def _shorten(name: str, longest: int = 75) -> str:
    """Of names that are paths the last parts; the title of a bar has all."""
    if len(name) > longest:
        first, *others = (part.split("/") for part in name.split("+"))
        shown = [(first, 5), *((path, 2) for path in others)]
        name = "+".join(
            "…/" + "/".join(path[-most:]) if len(path) > most + 1 else "/".join(path)
            for path, most in shown
        )
    return name if len(name) <= longest else name[: longest - 1] + "…"


def read_events(profile: library.Profile, seconds: float = 1e-9) -> list[Event]:
    """What a run wrote."""
    names = [profile.names[i].decode(errors="replace") for i in range(profile.num_nodes)]
    return [
        Event(names[e.node], e.thread, bool(e.is_part), e.begin * seconds, e.end * seconds)
        for e in profile.events[: min(profile.count, profile.capacity)]
    ]


def make_room(capacity: int) -> library.Profile:
    """Room for the events of a run."""
    events = (library.ProfileEvent * capacity)()
    return library.Profile(
        events=ctypes.cast(events, ctypes.POINTER(library.ProfileEvent)), capacity=capacity
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    from dlc import verify

    parser = argparse.ArgumentParser(
        prog="dlc profile", description="tell how long each node of a model takes"
    )
    verify.add_input_arguments(parser)
    verify.add_compile_arguments(parser)
    parser.add_argument("--threads", type=int, help="how many work on a run (default: all CPUs)")
    parser.add_argument("--runs", type=int, default=20, help="how many are measured (default: 20)")
    parser.add_argument("--rows", type=int, default=40, help="of the table (default: 40)")
    parser.add_argument("--trace", type=pathlib.Path, metavar="file.json",
                        help="write a trace for Chrome or Perfetto")  # fmt: skip
    parser.add_argument("--draw", type=pathlib.Path, metavar="file.svg", help="write a picture")
    options = parser.parse_args(arguments)
    for name in ("runs", "rows"):
        if getattr(options, name) < 1:
            parser.error(f"expected --{name} of at least 1, found {getattr(options, name)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    from dlc import verify

    options = _parse(arguments)
    try:
        how = verify.read_compile_options(options)
        _, inputs = verify.load(options)
        shapes = {name: list(value.shape) for name, value in inputs.items()}
        model = dlc.compile(options.model, profile=True, shapes=shapes, **how)
        profile = model.profile(inputs, runs=options.runs, threads=options.threads)
        print(profile.table(options.rows))
        for path, text in ((options.trace, profile.trace), (options.draw, profile.svg)):
            if path is not None:
                path.write_text(text(), encoding="utf-8")
    except dlc.DlcError as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"dlc: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
