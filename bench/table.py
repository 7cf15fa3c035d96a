"""What bench/run found, as text, as Markdown, and as a chart."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
PEERS = ("ONNX Runtime", "OpenVINO")
FLOAT = "dlc float32"
COLUMNS = (("model", 20), ("sizes", 48), ("threads", 7), ("dlc ms", 9), ("ORT ms", 9),
           ("OpenVINO ms", 11), ("dlc/best", 8), ("of minima", 9))  # fmt: skip
INT8_COLUMNS = (("float32 ms", 10), ("dlc/float32", 11))
"""Behind the others where networks are of 8 bits, or rounded."""
ERROR_COLUMNS = (("error", 8),)
"""Behind those where operands are rounded: the largest difference to ONNX
Runtime in float32, of the largest output."""


def find_ratio(row: Row, kind: str = "median", peers: Sequence[str] = PEERS) -> float | None:
    """dlc's time over that of the fastest other engine."""
    times = row.get(kind, {})
    peers = [times[name] for name in peers if name in times]
    return times["dlc"] / min(peers) if peers and "dlc" in times else None


def _format_sizes(row: Row) -> str:
    return " ".join(
        f"{name}={'x'.join(map(str, size)) if isinstance(size, list) else size}"
        for name, size in row["sizes"].items()
    )


def _cells(row: Row, dtype: str) -> list[str]:
    cells = [row["name"], _format_sizes(row), str(row["threads"])]
    times = row.get("median", {})
    cells += [_format_time(times.get(engine)) for engine in ("dlc", *PEERS)]
    cells += [_format_ratio(find_ratio(row, kind)) for kind in ("median", "minimum")]
    if dtype != "float32":
        cells += [_format_time(times.get(FLOAT)), _format_ratio(find_ratio(row, peers=(FLOAT,)))]
    if dtype == "bf16":
        cells.append(f"{row['error']:.1e}" if "error" in row else "-")
    return cells


def _format_time(seconds: float | None) -> str:
    return f"{seconds * 1e3:.3g}" if seconds else "-"


def _format_ratio(ratio: float | None) -> str:
    return f"{ratio:.2f}" if ratio else "-"


def _line(cells: Sequence[str]) -> str:
    return "  ".join(
        cell.ljust(width) if i < 2 else cell.rjust(width)
        for i, (cell, (_, width)) in enumerate(zip(cells, COLUMNS + INT8_COLUMNS + ERROR_COLUMNS))
    )


def _titles(dtype: str) -> list[str]:
    columns = COLUMNS + INT8_COLUMNS * (dtype != "float32") + ERROR_COLUMNS * (dtype == "bf16")
    return [title for title, _ in columns]


def format_head(dtype: str = "float32") -> str:
    return _line(_titles(dtype))


def format_row(row: Row, dtype: str = "float32") -> str:
    return _line(_cells(row, dtype))


def make_markdown(rows: Sequence[Row], machine: str, dtype: str = "float32") -> str:
    """The medians, and the ratios of medians and of minima."""
    titles = _titles(dtype)
    lines = [machine, "", "| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(_cells(row, dtype)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


TITLE = "time of dlc, as a part of the fastest other engine's"


def make_svg(rows: Sequence[Row]) -> str:
    """A bar a row: dlc's time over that of the fastest other engine, which is
    the line at 1."""
    found = [(row, ratio) for row in rows if (ratio := find_ratio(row))]
    labels = [f"{row['name']} {_format_sizes(row)}".strip() + f", {row['threads']} thread{'s' * (row['threads'] > 1)}"
              for row, _ in found]  # fmt: skip
    step, left, unit = 22, 30 + 8 * max(map(len, labels), default=0), 400
    height = step * len(found) + 60
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + unit * 1.5 + 60:.0f}" '
             f'height="{height}" font-family="sans-serif" font-size="13">']  # fmt: skip
    parts.append(f'<text x="{left + unit}" y="18" text-anchor="middle">{html.escape(TITLE)}</text>')
    for i, ((_, ratio), label) in enumerate(zip(found, labels)):
        y = 40 + i * step
        colour = "#2a7f4f" if ratio <= 1 else "#b3402a"
        width = min(ratio, 1.5) * unit
        parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">'
                     f"{html.escape(label)}</text>")  # fmt: skip
        parts.append(f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{step - 5}" '
                     f'fill="{colour}"/>')  # fmt: skip
        parts.append(f'<text x="{left + width + 5:.1f}" y="{y + 13}">{ratio:.2f}</text>')
    parts.append(f'<line x1="{left + unit}" y1="26" x2="{left + unit}" y2="{height - 10}" '
                 'stroke="#555" stroke-dasharray="4 3"/></svg>')  # fmt: skip
    return "\n".join(parts) + "\n"
