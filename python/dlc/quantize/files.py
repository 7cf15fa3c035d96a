"""Batches of inputs from npz and npy files, one at a time."""

from __future__ import annotations

import contextlib
import pathlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np


@contextlib.contextmanager
def reading(path: pathlib.Path) -> Iterator[None]:
    """Names a file of arrays that is damaged."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise ValueError(f"expected arrays in '{path}', found a damaged file: {error}") from None


class Batches:
    """The inputs of a model from files: a folder of npz or npy files, each a
    batch, or one file whose first axis is cut into batches. Files are read as
    they are needed: one batch is in memory."""

    def __init__(
        self, path: pathlib.Path, inputs: Sequence[str], batch: int | None, limit: int | None
    ) -> None:
        self.inputs, self.batch = list(inputs), batch or 1
        self.path = path
        if path.is_dir():
            self.files = sorted(p for p in path.iterdir() if p.suffix in (".npz", ".npy"))
            if not self.files:
                raise ValueError(f"expected npz or npy files in '{path}', found none")
        elif path.suffix in (".npz", ".npy") and path.exists():
            self.files = []
        else:
            raise ValueError(f"expected a folder, an npz or an npy file, found '{path}'")
        if limit is not None and limit < 1:
            raise ValueError(f"expected 1 batch or more, found {limit}")
        self.rows = 0 if self.files else self._count_in_file()
        """Samples of a file, with those that fill no batch."""
        count = len(self.files) or self.rows // self.batch
        self.count = min(count, limit or count)
        if not self.count:
            raise ValueError(f"expected {self.batch} samples or more in '{path}', found fewer")

    def __len__(self) -> int:
        return self.count

    def describe(self) -> list[list[Any]]:
        """Name, bytes and time of each file: other ones are other data."""
        found = [(path, path.stat()) for path in self.files or [self.path]]
        return [[path.name, stat.st_size, stat.st_mtime_ns] for path, stat in found]

    def name_of(self, number: int) -> str:
        """Of a batch, for errors."""
        return f"'{self.files[number]}'" if self.files else f"batch {number + 1} of '{self.path}'"

    def headers(self) -> Iterator[tuple[str, dict[str, Header]]]:
        """What the arrays of each batch are, by the names of their files; of one
        file, what those of every batch are."""
        if not self.files:
            readers = self._open()
            found = {name: reader.header for name, reader in readers.items()}
            for reader in readers.values():
                reader.file.close()
            yield f"'{self.path}'", {name: h._replace(shape=(self.batch, *h.shape[1:]))
                                     for name, h in found.items()}  # fmt: skip
        for path in self.files[: self.count]:
            yield f"'{path}'", self._read_headers(path)

    def _read_headers(self, path: pathlib.Path) -> dict[str, Header]:
        if path.suffix == ".npy":
            self._names(self.inputs[:1] if len(self.inputs) == 1 else [], path)
            with open(path, "rb") as file:
                return {self.inputs[0]: Header.read(file, path)}
        with reading(path):
            archive = zipfile.ZipFile(path)
        with archive:
            self._names([n[:-4] for n in archive.namelist() if n.endswith(".npy")], path)
            found = {}
            for name in self.inputs:
                with archive.open(name + ".npy") as file:
                    found[name] = Header.read(file, path)
            return found

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self.read_from(0)

    def read_from(self, first: int) -> Iterator[dict[str, np.ndarray]]:
        if self.files:
            for path in self.files[first : self.count]:
                yield self._load(path)
            return
        readers = self._open()
        try:
            for number in range(self.count):
                batch = {name: reader.take(self.batch) for name, reader in readers.items()}
                if number >= first:
                    yield batch
        finally:
            for reader in readers.values():
                reader.file.close()

    def _names(self, found: Sequence[str], path: pathlib.Path) -> None:
        missing = [name for name in self.inputs if name not in found]
        if missing:
            raise ValueError(
                f"expected an array '{missing[0]}' in '{path}', found {', '.join(found) or 'none'}"
            )

    def _load(self, path: pathlib.Path) -> dict[str, np.ndarray]:
        with reading(path):
            loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            self._names(self.inputs[:1] if len(self.inputs) == 1 else [], path)
            return {self.inputs[0]: loaded}
        with loaded:
            self._names(loaded.files, path)
            with reading(path):
                return {name: loaded[name] for name in self.inputs}

    def _open(self) -> dict[str, _ArrayReader]:
        if self.path.suffix == ".npy":
            self._names(self.inputs[:1] if len(self.inputs) == 1 else [], self.path)
            return {self.inputs[0]: _ArrayReader(open(self.path, "rb"), self.path)}
        with reading(self.path):
            archive = zipfile.ZipFile(self.path)
        self._names([n[:-4] for n in archive.namelist() if n.endswith(".npy")], self.path)
        return {name: _ArrayReader(archive.open(name + ".npy"), self.path) for name in self.inputs}

    def _count_in_file(self) -> int:
        readers = self._open()
        lengths = {name: reader.header.shape[0] for name, reader in readers.items()}
        for reader in readers.values():
            reader.file.close()
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"expected arrays of one length in '{self.path}', found "
                + ", ".join(f"{n} of '{name}'" for name, n in lengths.items())
            )
        return next(iter(lengths.values()))


class Header(NamedTuple):
    """What stands at the begin of an npy file."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype

    @classmethod
    def read(cls, file: Any, path: pathlib.Path) -> Header:
        formats = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        with reading(path):
            version = np.lib.format.read_magic(file)
            if version[0] not in formats:
                raise ValueError(f"version {version[0]} of the format npy")
            found = cls(*formats[version[0]](file))
        if found.dtype.hasobject:
            raise ValueError(f"expected arrays of numbers in '{path}', found objects")
        return found


class _ArrayReader:
    """Slices along the first axis of a npy file, in order."""

    def __init__(self, file: Any, path: pathlib.Path) -> None:
        self.file, self.path = file, path
        self.header = Header.read(file, path)
        if self.header.fortran or not self.header.shape:
            raise ValueError(f"expected arrays of one dimension or more in C order in '{path}'")

    def take(self, count: int) -> np.ndarray:
        shape, dtype = (count, *self.header.shape[1:]), self.header.dtype
        size = int(np.prod(shape)) * dtype.itemsize
        with reading(self.path):
            data = self.file.read(size)
        if len(data) != size:
            raise ValueError(f"'{self.path}' ends before its arrays do")
        return np.frombuffer(data, dtype).reshape(shape)
