"""Calibration data from TFRecord files, without TensorFlow.

A record is its length (8 bytes), a checksum of that (4), the data, and a
checksum of them; the checksum is a CRC-32C, rotated and with a constant added
(tensorflow/core/lib/hash/crc32c.h). The data are mostly a message
tensorflow.Example, a map from names to lists of bytes, floats or integers.
"""

from __future__ import annotations

import functools
import pathlib
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dlc.quantize.data import gather

LANES = 256


class TFRecord:
    """`parse` makes the inputs of one sample from a record's features: a dict of
    arrays of numbers, and of lists of bytes; with `raw` from the record's bytes."""

    def __init__(
        self,
        source: str | pathlib.Path | Sequence[str | pathlib.Path],
        parse: Callable[[Any], Mapping[str, np.ndarray]],
        batch: int = 1,
        raw: bool = False,
    ) -> None:
        one = isinstance(source, (str, pathlib.Path))
        self.files = [pathlib.Path(source)] if one else [pathlib.Path(p) for p in source]  # type: ignore
        if one and self.files[0].is_dir():
            folder = self.files[0]
            self.files = sorted(p for p in folder.iterdir() if ".tfrecord" in p.name)
            if not self.files:
                raise ValueError(f"expected .tfrecord files in '{folder}', found none")
        self.parse, self.batch, self.raw = parse, batch, raw

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return gather(self._samples(), self.batch)

    def _samples(self) -> Iterator[Mapping[str, np.ndarray]]:
        for path in self.files:
            for number, record in enumerate(read_records(path)):
                if self.raw:
                    yield self.parse(record)
                    continue
                try:
                    features = parse_example(record)
                except ValueError as error:
                    raise ValueError(f"{path}: record {number + 1}: {error}") from None
                yield self.parse(features)


def read_records(path: pathlib.Path) -> Iterator[bytes]:
    """The data of a file's records, one at a time."""
    with open(path, "rb") as file:
        number = 0
        while header := file.read(12):
            number += 1
            where = f"{path}: record {number}"
            if len(header) < 12:
                raise ValueError(f"{where}: the file ends in its length")
            size, check = struct.unpack("<QI", header)
            if mask(crc32c(header[:8])) != check:
                raise ValueError(f"{where}: the checksum of its length is wrong; is this a TFRecord file "
                                 "that is not compressed?")  # fmt: skip
            data, foot = file.read(size), file.read(4)
            if len(data) < size or len(foot) < 4:
                raise ValueError(f"{where}: expected {size} bytes, the file ends after {len(data)}")
            if mask(crc32c(data)) != struct.unpack("<I", foot)[0]:
                raise ValueError(f"{where}: the checksum of its data is wrong")
            yield data


def parse_example(record: bytes) -> dict[str, Any]:
    """The features of a tensorflow.Example."""
    from google.protobuf.message import DecodeError

    example = _example_class()()
    try:
        example.ParseFromString(record)
    except DecodeError:
        raise ValueError("expected a tensorflow.Example, found other data") from None
    features: dict[str, Any] = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind == "bytes_list":
            features[name] = list(feature.bytes_list.value)
        elif kind == "float_list":
            features[name] = np.asarray(feature.float_list.value, np.float32)
        else:
            features[name] = np.asarray(feature.int64_list.value, np.int64)
    return features


@functools.cache
def _example_class() -> Any:
    """The message of tensorflow/core/example/example.proto."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="dlc/example.proto", package="dlc.tf", syntax="proto3")

    def add(message: Any, name: str, number: int, kind: int, **more: Any) -> None:
        optional = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
        message.field.add(name=name, number=number, type=kind, **{"label": optional, **more})

    types = descriptor_pb2.FieldDescriptorProto
    feature = descriptor_pb2.DescriptorProto(name="Feature")
    feature.oneof_decl.add(name="kind")
    for i, (name, kind) in enumerate((("bytes_list", types.TYPE_BYTES), ("float_list", types.TYPE_FLOAT),
                                      ("int64_list", types.TYPE_INT64))):  # fmt: skip
        made = file.message_type.add(name=name)
        add(made, "value", 1, kind, label=types.LABEL_REPEATED)
        add(feature, name, i + 1, types.TYPE_MESSAGE, type_name=f".dlc.tf.{name}", oneof_index=0)
    file.message_type.append(feature)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, types.TYPE_STRING)
    add(entry, "value", 2, types.TYPE_MESSAGE, type_name=".dlc.tf.Feature")
    add(features, "feature", 1, types.TYPE_MESSAGE, label=types.LABEL_REPEATED,
        type_name=".dlc.tf.Features.FeatureEntry")  # fmt: skip
    add(file.message_type.add(name="Example"), "features", 1, types.TYPE_MESSAGE,
        type_name=".dlc.tf.Features")  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("dlc.tf.Example"))


def mask(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@functools.cache
def _table() -> np.ndarray:
    """The remainders of all bytes, by Castagnoli's polynomial, bits reversed."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(0x82F63B78), table >> 1)
    return table.astype(np.uint32)


def crc32c(data: bytes) -> int:
    """Of long data many parts at once, which are then put together: a part before
    n others is moved on by as many zeros."""
    table = _table()
    length = len(data) // LANES
    crc = 0xFFFFFFFF
    start = 0
    if length >= 16:
        parts = np.frombuffer(data, np.uint8, length * LANES).reshape(LANES, length)
        found = np.zeros(LANES, np.uint32)
        found[0] = crc
        for column in np.ascontiguousarray(parts.T):
            found = table[(found ^ column) & 0xFF] ^ (found >> np.uint32(8))
        matrix = _zeros_matrix(length)
        while len(found) > 1:
            found = _apply(matrix, found[0::2]) ^ found[1::2]
            matrix = _apply(matrix, matrix)
        crc, start = int(found[0]), length * LANES
    for byte in data[start:]:
        crc = int(table[(crc ^ byte) & 0xFF]) ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@functools.lru_cache(maxsize=64)
def _zeros_matrix(count: int) -> np.ndarray:
    """What `count` bytes of zero make of each bit of a remainder."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    power = _table()[bits & 0xFF] ^ (bits >> np.uint32(8))
    found = bits
    while count:
        if count & 1:
            found = _apply(power, found)
        power, count = _apply(power, power), count >> 1
    return found


def _apply(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    bits = values[:, None] >> np.arange(32, dtype=np.uint32) & np.uint32(1)
    return np.bitwise_xor.reduce(np.where(bits == 1, matrix[None], np.uint32(0)), 1)
