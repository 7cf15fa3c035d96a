"""What is known of each layer of a quantized model, as a table and a picture."""

from __future__ import annotations

import dataclasses
import html
import json
import math
from typing import Any


@dataclasses.dataclass
class Layer:
    name: str
    operator: str
    sqnr: float
    """At the worst output, in dB, when only this layer computes on integers."""
    float_ms: float | None = None
    integer_ms: float | None = None
    kept: str = ""
    """Why it stays in float: accuracy, time, or "" where it doesn't."""

    @property
    def milliseconds(self) -> float | None:
        return self.float_ms if self.kept else self.integer_ms


@dataclasses.dataclass
class Report:
    layers: list[Layer]
    sqnr: float
    """Of the model that was written, at its worst output."""
    plain_sqnr: float
    """Of the one with every layer on integers."""
    metric: float | None = None
    float_metric: float | None = None
    validated_sqnr: float | None = None
    """Of the model that was written, on data that it was not made with."""

    def to_text(self) -> str:
        rows = [("layer", "operator", "SQNR dB", "float ms", "int8 ms", "computes in")]
        for layer in self.layers:
            where = f"float: {layer.kept}" if layer.kept else "int8"
            rows.append((layer.name, layer.operator, f"{layer.sqnr:.1f}", _number(layer.float_ms),
                         _number(layer.integer_ms), where))  # fmt: skip
        widths = [max(len(row[i]) for row in rows) for i in range(6)]
        lines = []
        for row in rows:
            cells = [c.ljust(w) if i in (0, 1, 5) else c.rjust(w)
                     for i, (c, w) in enumerate(zip(row, widths))]  # fmt: skip
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, *self._totals()])

    def _totals(self) -> list[str]:
        kept = [layer for layer in self.layers if layer.kept]
        lines = [f"{len(kept)} of {len(self.layers)} layers stay in float",
                 f"SQNR {self.sqnr:.1f} dB; {self.plain_sqnr:.1f} dB with every layer in int8"]  # fmt: skip
        if self.validated_sqnr is not None:
            lines.append(f"SQNR {self.validated_sqnr:.1f} dB on the data of the validation")
        if self.metric is not None and self.float_metric is not None:
            lines.append(f"metric {self.metric:.4f}; {self.float_metric:.4f} of the float model")
        timed = [layer for layer in self.layers if layer.float_ms is not None]
        if timed:
            before = sum(layer.float_ms or 0 for layer in timed)
            after = sum(layer.milliseconds or 0 for layer in timed)
            lines.append(f"{after:.2f} ms in these layers; {before:.2f} ms in float")
        return lines

    def to_json(self) -> str:
        """A ratio without noise is null: JSON has no infinity."""
        return json.dumps(_without_infinities(dataclasses.asdict(self)), indent=1)

    def to_svg(self) -> str:
        """A bar a layer, as long as its SQNR, and its times beside it."""
        height, left, length = 18, 300, 360
        most = max([layer.sqnr for layer in self.layers if layer.sqnr < 1e3] or [1.0])
        width = left + length + 330
        lines = []
        for i, layer in enumerate(self.layers):
            y = 44 + i * height
            colour = {"": "#3b7dd8", "time": "#e0a030"}.get(layer.kept, "#d0453b")
            bar = max(min(layer.sqnr / most, 1), 0) * length
            name = layer.name if len(layer.name) <= 42 else "…" + layer.name[-41:]
            times = ""
            if layer.float_ms is not None and layer.integer_ms is not None:
                times = f"{layer.float_ms:.3f} → {layer.integer_ms:.3f} ms"
            lines += [
                f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{html.escape(name)}</text>',
                f'<rect x="{left}" y="{y + 2}" width="{bar:.1f}" height="{height - 5}" fill="{colour}">'
                f"<title>{html.escape(layer.name)} ({layer.operator})</title></rect>",
                f'<text x="{left + bar + 6:.1f}" y="{y + 12}">{layer.sqnr:.1f} dB</text>',
                f'<text x="{left + length + 80}" y="{y + 12}">{times}</text>',
            ]
        legend = [("#3b7dd8", "int8"), ("#d0453b", "float, for accuracy"), ("#e0a030", "float, for time")]
        for i, (colour, label) in enumerate(legend):
            x = left + 150 * i
            lines += [f'<rect x="{x}" y="10" width="12" height="12" fill="{colour}"/>',
                      f'<text x="{x + 18}" y="21">{label}</text>']  # fmt: skip
        y = 44 + len(self.layers) * height
        for total in self._totals():
            y += height
            lines.append(f'<text x="{left}" y="{y}">{html.escape(total)}</text>')
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + height}" '
                'font-family="sans-serif" font-size="12">')  # fmt: skip
        return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *lines, "</svg>", ""])


def _without_infinities(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_infinities(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
