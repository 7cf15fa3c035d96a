"""Types of arguments: what is wrong with one is said before hours of runs."""

from __future__ import annotations

import argparse
import pathlib


def output_file(text: str) -> pathlib.Path:
    """A file that can be written at the end."""
    path = pathlib.Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in a folder that is there, found '{text}'")
    return path


def positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, found '{text}'")
    return int(text)


def thread_counts(text: str) -> list[int]:
    """Of `1,2`; a compiled model takes 256 at most."""
    counts = [int(part) if part.isdecimal() else 0 for part in text.split(",")]
    if not all(1 <= n <= 256 for n in counts):
        raise argparse.ArgumentTypeError(f"expected numbers from 1 to 256 with commas, found '{text}'")
    return counts


def model_names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def data_type(text: str) -> str:
    return "float32" if text == "f32" else text
