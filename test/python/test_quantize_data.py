"""The readers of dlc quantize: what they make of files, what they hold, and what
they say of files that are wrong."""

import pathlib
import struct
import threading
import weakref

import numpy as np
import pytest
from dlc import quantize
from dlc.quantize import data, tfrecord
from PIL import Image
from quantize_network import make_batches, make_network


def test_prefetch_holds_two():
    """One is used, one is made, and no other is alive."""
    alive, most = weakref.WeakSet(), 0

    class Batch:
        pass

    def make():
        for _ in range(20):
            batch = Batch()
            alive.add(batch)
            yield batch
            del batch

    seen = 0
    for batch in data.prefetch(make()):
        threading.Event().wait(0.005)
        most, seen = max(most, len(alive)), seen + 1
        del batch
    assert seen == 20 and most == 2
    threads = threading.active_count()
    stopped = data.prefetch(make())
    next(stopped)
    stopped.close()
    assert threading.active_count() <= threads


def test_prefetch_raises_in_its_place():
    def make():
        yield 1
        raise ValueError("the second is broken")

    source = data.prefetch(make())
    assert next(source) == 1
    with pytest.raises(ValueError, match="the second is broken"):
        next(source)


@pytest.mark.parametrize("form", ["dicts", "lists", "arrays", "generator", "function"])
def test_any_iterator(form):
    model, batches = make_network(), make_batches(4)
    arrays = [b["x"] for b in batches]
    source = {"dicts": batches, "lists": [[x] for x in arrays], "arrays": arrays,
              "generator": (x for x in arrays), "function": lambda: iter(arrays)}[form]  # fmt: skip
    found = quantize.quantize(model, source)
    assert found.SerializeToString() == quantize.quantize(model, batches).SerializeToString()


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_path(kind, tmp_path):
    """Files, as the command reads them."""
    model, batches = make_network(), make_batches(3)
    for i, batch in enumerate(batches):
        np.savez(tmp_path / f"{i}.npz", **batch)
    made = quantize.quantize(model, kind(tmp_path))
    assert made.SerializeToString() == quantize.quantize(model, batches).SerializeToString()
    with pytest.raises(ValueError, match="expected a folder, an npz or an npy file, found 'none'"):
        quantize.quantize(model, kind(pathlib.Path("none")))


def test_wrong_batch():
    with pytest.raises(ValueError, match="expected a batch of 1 arrays, found 2"):
        quantize.quantize(make_network(), [[1, 2]])
    with pytest.raises(ValueError, match="expected 'x' of float32 .x3x16x16 in batch 2, found float32 1x3x8x8"):
        quantize.quantize(make_network(), [*make_batches(1), {"x": np.zeros((1, 3, 8, 8), np.float32)}])


def test_images(tmp_path):
    """A picture of the network's size is only scaled; others are cut or padded."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (20, 30, 3), np.uint8)
    (tmp_path / "deep").mkdir()
    for i, name in enumerate(("a.png", "b.bmp", "deep/c.png")):
        Image.fromarray(np.roll(pixels, i, 0)).save(tmp_path / name)
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.4])
    how = quantize.Preprocessing((20, 30), mean=mean, std=std, colours="bgr")
    images = quantize.Images(tmp_path, "x", how)
    assert len(images) == 3
    found = [batch["x"] for batch in images]
    for i, x in enumerate(found):
        expected = (np.roll(pixels, i, 0)[..., ::-1] / 255 - mean) / std
        np.testing.assert_allclose(x, expected.transpose(2, 0, 1)[None], atol=1e-6)
        assert x.dtype == np.float32
    pairs = [b["x"] for b in quantize.Images(tmp_path, "x", how, batch=2)]
    assert len(pairs) == 1 and (pairs[0] == np.concatenate(found[:2])).all()
    np.testing.assert_array_equal([b["x"] for b in images.read_from(2)], found[2:])
    # The middle, and all of it at the left and above.
    crop = quantize.Preprocessing((20, 20), scale=1.0, layout="nhwc")
    (x,) = (b["x"] for b in quantize.Images([tmp_path / "a.png"], "x", crop))
    np.testing.assert_array_equal(x[0], pixels[:, 5:25])
    pad = quantize.Preprocessing((40, 30), fit="pad", scale=1.0, layout="nhwc", dtype="uint8")
    (x,) = (b["x"] for b in quantize.Images([tmp_path / "a.png"], "x", pad))
    assert (x[0, :20] == pixels).all() and (x[0, 20:] == 0).all() and x.dtype == np.uint8
    gray = quantize.Preprocessing((10, 10), fit="stretch", colours="gray")
    assert next(iter(quantize.Images(tmp_path, "x", gray)))["x"].shape == (1, 1, 10, 10)
    # Of 16 bits the upper 8.
    wide = random.integers(0, 65536, (10, 10), np.uint16)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    (x,) = (b["x"] for b in quantize.Images([tmp_path / "wide.png"], "x",
                                            quantize.Preprocessing((10, 10), colours="gray", scale=1.0)))  # fmt: skip
    np.testing.assert_array_equal(x[0, 0], wide >> 8)
    shorter = quantize.Preprocessing((20, 20), resize=40, scale=1.0)
    assert next(iter(quantize.Images(tmp_path, "x", shorter)))["x"].shape == (1, 3, 20, 20)


def test_wrong_images(tmp_path):
    how = quantize.Preprocessing((8, 8))
    with pytest.raises(ValueError, match="expected a folder of pictures, found "):
        quantize.Images(tmp_path / "none", "x", how)
    with pytest.raises(ValueError, match="expected 1 pictures or more in .*, found 0"):
        quantize.Images(tmp_path, "x", how)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="expected a picture, found '.*a.png'"):
        list(quantize.Images(tmp_path, "x", how))
    Image.new("RGB", (64, 64)).save(tmp_path / "b.png")
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:60])
    with pytest.raises(ValueError, match="cannot read the picture '.*a.png'|expected a picture"):
        list(quantize.Images(tmp_path, "x", how))
    for wrong, message in (({"fit": "zoom"}, "expected fit of stretch, crop, pad, found 'zoom'"),
                           ({"mean": (1, 2)}, "expected 1 or 3 numbers of mean, found 2"),
                           ({"std": 0.0}, "expected a std above 0, found 0.0"),
                           ({"resize": -4}, r"found the size \(8, 8\) and resize=-4"),
                           ({"size": (0, 8)}, r"expected a picture of 1 pixel or more, found the size \(0, 8\)"),
                           ({"dtype": "real"}, "expected the name of a type of numbers, found 'real'")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            quantize.Preprocessing(**{"size": (8, 8)} | wrong)
    with pytest.raises(ValueError, match="expected batches of 1 picture or more, found 0"):
        quantize.Images(tmp_path, "x", how, batch=0)
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "real.tif")
    with pytest.raises(ValueError, match="real.tif: expected a picture of 8 or 16 bits, found one of floats"):
        list(quantize.Images([tmp_path / "real.tif"], "x", how))


def test_csv(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,a,b,c,d\n" + "".join(f"n{i},{i}.5,{i + 1},{i + 2},-1e-3\n" for i in range(5)))
    table = quantize.Csv(path, {"x": (["a", "b", "c", "d"], [2, 2]), "k": ["b"]}, batch=2,
                         dtype={"x": "float32", "k": "int64"})  # fmt: skip
    batches = list(table)
    assert len(batches) == 2 and len(list(table)) == 2
    np.testing.assert_array_equal(batches[1]["x"][0], np.float32([[2.5, 3], [4, -1e-3]]))
    np.testing.assert_array_equal(batches[1]["k"], [[3], [4]])
    assert batches[0]["x"].dtype == np.float32 and batches[0]["k"].dtype == np.int64


def test_wrong_csv(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n3,x\n5\n")
    with pytest.raises(ValueError, match="expected a column 'z' in the first line of .*, found a, b"):
        quantize.Csv(path, {"x": ["a", "z"]})
    with pytest.raises(ValueError, match="expected 3 columns for 'x', found 2"):
        quantize.Csv(path, {"x": (["a", "b"], [3])})
    rows = iter(quantize.Csv(path, {"x": ["a", "b"]}))
    next(rows)
    with pytest.raises(ValueError, match=r"table.csv:3: expected a number in column 'b', found 'x'"):
        next(rows)
    path.write_text("a,b\n5\n")
    with pytest.raises(ValueError, match=r"table.csv:2: expected 2 columns, found 1"):
        list(quantize.Csv(path, {"x": ["a", "b"]}))


def slow_crc(data: bytes) -> int:
    """Bit by bit: by the polynomial's definition."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = slow_crc(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(data: bytes) -> bytes:
    size = struct.pack("<Q", len(data))
    return size + masked(size) + data + masked(data)


def message(number: int, data: bytes) -> bytes:
    """A field of protobuf's wire format that has a length below 16384."""
    size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    return bytes([number << 3 | 2]) + size + data


def example(**features: bytes) -> bytes:
    entries = [message(1, message(1, name.encode()) + message(2, value)) for name, value in features.items()]
    return message(1, b"".join(entries))


def test_checksum():
    assert tfrecord.crc32c(b"123456789") == 0xE3069283  # RFC 3720's
    random = np.random.default_rng(0)
    for size in (0, 1, 4095, 4096, 5000, 20001):
        data = random.bytes(size)
        assert tfrecord.crc32c(data) == slow_crc(data), size


def make_record(i: int) -> bytes:
    floats = np.arange(i, i + 4, dtype="<f4").tobytes()
    return example(image=message(1, message(1, bytes([i] * 6000))), x=message(2, message(1, floats)),
                   label=message(3, message(1, bytes([i, 200, 1]))))  # fmt: skip


def parse(features):
    assert len(features["image"][0]) == 6000
    return {"x": features["x"], "label": features["label"]}


def test_tfrecord(tmp_path):
    for part in range(2):
        records = [frame(make_record(3 * part + i)) for i in range(3)]
        (tmp_path / f"data.tfrecord-{part:05}-of-00002").write_bytes(b"".join(records))
    batches = list(quantize.TFRecord(tmp_path, parse, batch=2))
    assert len(batches) == 3
    np.testing.assert_array_equal(batches[1]["x"], [[2, 3, 4, 5], [3, 4, 5, 6]])
    np.testing.assert_array_equal(batches[1]["label"], [[2, 200], [3, 200]])
    raw = quantize.TFRecord(sorted(tmp_path.iterdir()), lambda data: {"n": np.array(len(data))}, raw=True)
    assert len(list(raw)) == 6


@pytest.mark.parametrize("change, expected", [
    (lambda d: d[:-2], r"record 2: expected 60\d\d bytes, the file ends"),
    (lambda d: d[: len(d) // 2 + 5], "record 2: the file ends in its length"),
    (lambda d: b"\x1f\x8b" + d[2:], "record 1: the checksum of its length is wrong; is this a TFRecord"),
    (lambda d: d[:100] + b"?" + d[101:], "record 1: the checksum of its data is wrong"),
    (lambda d: frame(b"\xff\xff"), "record 1: expected a tensorflow.Example, found other data"),
])  # fmt: skip
def test_wrong_tfrecord(change, expected, tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(change(frame(make_record(1)) * 2))
    with pytest.raises(ValueError, match=expected):
        list(quantize.TFRecord(path, parse))


def test_no_tfrecord(tmp_path):
    with pytest.raises(ValueError, match="expected .tfrecord files in "):
        quantize.TFRecord(tmp_path, parse)
