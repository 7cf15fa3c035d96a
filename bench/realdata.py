"""Inputs that trained models are for: lines and pages of text, and files."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterator

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = ("python", "bench", "docs", "lib", "passes", "cmake", "examples", "scripts", "tools")
HALF, PADDING = 1024, 256  # of Magika's input


def _words() -> list[str]:
    """Of this project's pages."""
    text = "\n".join(p.read_text() for p in sorted((ROOT / "docs").glob("*.md")))
    return [w for w in text.split() if w.isascii()]


def _draw(size: tuple[int, int], lines: list[tuple[int, int, int, str]]) -> np.ndarray:
    """Black on white, as blue, green, red: [height, width, 3]."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", size, "white")
    for left, top, letters, text in lines:
        font = ImageFont.load_default(letters)
        ImageDraw.Draw(picture).text((left, top), text, fill=(20, 20, 60), font=font)
    return np.asarray(picture, np.float32)[:, :, ::-1]


def make_lines(count: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Lines of text for PP-OCR's recognition, 48 x 320."""
    random, words = np.random.default_rng(seed), _words()
    for _ in range(count):
        first, letters = random.integers(len(words) - 8), int(random.integers(22, 36))
        text = " ".join(words[first : first + 8])[: math.ceil(520 / letters)]
        pixels = _draw((320, 48), [(6, int(random.integers(2, 44 - letters)), letters, text)])
        yield {"x": (pixels.transpose(2, 0, 1)[None] / 127.5 - 1).astype(np.float32)}


def make_pages(count: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Pages for PP-OCR's detection, 320 x 480."""
    random, words = np.random.default_rng(seed), _words()
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    for _ in range(count):
        lines, top = [], 8
        while top < 280:
            letters, first = int(random.integers(14, 30)), random.integers(len(words) - 8)
            lines.append((10, top, letters, " ".join(words[first : first + 5])[: 700 // letters]))
            top += letters + int(random.integers(8, 30))
        pixels = (_draw((480, 320), lines) / 255 - mean) / deviation
        yield {"x": pixels.transpose(2, 0, 1)[None].astype(np.float32)}


def make_files(count: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Files of this project for Magika: the first and the last bytes."""
    files = [p for f in FOLDERS for p in sorted((ROOT / f).rglob("*")) if p.is_file() and p.suffix != ".pyc"]
    chosen = np.random.default_rng(seed).permutation(len(files))[:count]
    for i in chosen:
        data = files[i].read_bytes()
        first, last = data.lstrip()[:HALF], data.rstrip()[-HALF:]
        row = np.full(2 * HALF, PADDING, np.int32)
        row[: len(first)] = list(first)
        row[2 * HALF - len(last) :] = list(last)
        yield {"bytes": row[None]}


REAL = {"ppocr_rec": make_lines, "ppocr_det": make_pages, "magika": make_files}
