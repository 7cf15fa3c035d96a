"""Calibration data from a table of numbers as text (CSV)."""

from __future__ import annotations

import csv
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dlc.quantize.data import gather


class Csv:
    """A row is a sample. `columns` says for each input which columns of the table
    are its numbers, by the names in the first line; a pair of columns and a shape
    for an input of more than one dimension. Read row by row."""

    def __init__(
        self,
        path: str | pathlib.Path,
        columns: Mapping[str, Sequence[str] | tuple[Sequence[str], Sequence[int]]],
        batch: int = 1,
        dtype: str | Mapping[str, str] = "float32",
        delimiter: str = ",",
    ) -> None:
        self.path, self.batch, self.delimiter = pathlib.Path(path), batch, delimiter
        with open(self.path, newline="") as file:
            self.header = header = next(csv.reader(file, delimiter=delimiter), [])
        self.places: dict[str, tuple[list[int], list[int]]] = {}
        self.dtypes: dict[str, np.dtype] = {}
        for name, chosen in columns.items():
            isShaped = len(chosen) == 2 and not isinstance(chosen[0], str)
            names, shape = chosen if isShaped else (chosen, [len(chosen)])
            missing = [column for column in names if column not in header]
            if missing:
                raise ValueError(f"expected a column '{missing[0]}' in the first line of '{path}', "
                                 f"found {', '.join(header)}")  # fmt: skip
            if int(np.prod(list(shape))) != len(names):
                raise ValueError(f"expected {int(np.prod(list(shape)))} columns for '{name}', "
                                 f"found {len(names)}")  # fmt: skip
            self.places[name] = [header.index(str(c)) for c in names], [int(n) for n in shape]
            self.dtypes[name] = np.dtype(dtype if isinstance(dtype, str) else dtype[name])

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return gather(self._samples(), self.batch)

    def _samples(self) -> Iterator[dict[str, np.ndarray]]:
        with open(self.path, newline="") as file:
            rows = csv.reader(file, delimiter=self.delimiter)
            next(rows)
            for row in rows:
                if row:
                    yield {name: self._take(row, name, rows.line_num) for name in self.places}

    def _take(self, row: Sequence[str], name: str, line: int) -> np.ndarray:
        places, shape = self.places[name]
        if len(row) <= max(places, default=-1):
            raise ValueError(f"{self.path}:{line}: expected {max(places) + 1} columns, found {len(row)}")
        numbers = [self._read(row[i], i, line) for i in places]
        return np.asarray(numbers).astype(self.dtypes[name]).reshape(shape)

    def _read(self, text: str, place: int, line: int) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            shown = text if len(text) <= 40 else text[:40] + "..."
            raise ValueError(f"{self.path}:{line}: expected a number in column '{self.header[place]}', "
                             f"found '{shown}'")  # fmt: skip
        return number
