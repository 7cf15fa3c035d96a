"""examples/ocr reads what is written, at any width, and is as sure of it as
ONNX Runtime is on the same picture."""

import importlib.util
import math
import pathlib
import re
import subprocess

import numpy
import onnxruntime
import pytest
from PIL import Image, ImageDraw, ImageFont

# Texts and the size of their letters: widths below and above the model's own
# 320 pixels, and heights below and above its 48.
LINES = [
    ("2026-11-23", 24),
    ("Hello, world!", 40),
    ("The quick brown fox jumps over 13 lazy dogs", 36),
    ("Pack my box with five dozen liquor jugs", 72),
    ("dlc compiles neural networks ahead of time, and this line is longer than the others", 30),
]


def draw_line(text: str, size: int) -> Image.Image:
    font = ImageFont.load_default(size)
    _, _, width, height = font.getbbox(text)
    picture = Image.new("RGB", (math.ceil(width) + 16, math.ceil(height) + 14), "white")
    ImageDraw.Draw(picture).text((8, 4), text, fill=(20, 20, 60), font=font)
    return picture


def scale(pixels: numpy.ndarray, size: int, axis: int) -> numpy.ndarray:
    """Linear interpolation between the middles of pixels, along one axis."""
    source = pixels.shape[axis]
    at = numpy.clip((numpy.arange(size) + 0.5) * source / size - 0.5, 0, source - 1)
    first = at.astype(int)
    weight = (at - first).reshape([-1 if i == axis else 1 for i in range(3)])
    second = numpy.minimum(first + 1, source - 1)
    return pixels.take(first, axis) * (1 - weight) + pixels.take(second, axis) * weight


def reference_input(picture: Image.Image) -> numpy.ndarray:
    pixels = numpy.asarray(picture, dtype=float)[:, :, ::-1]
    width = math.ceil(48 * picture.width / picture.height)
    pixels = scale(scale(pixels, 48, 0), width, 1) / 127.5 - 1
    pixels = numpy.pad(pixels, ((0, 0), (0, max(0, 320 - width)), (0, 0)))
    return pixels.transpose(2, 0, 1)[None].astype(numpy.float32)


def reference_answer(session, picture):
    """The text as ONNX Runtime's scores say it, and how sure they are."""
    scores = session.run(None, {"x": reference_input(picture)})[0][0]
    known = session.get_modelmeta().custom_metadata_map["character"].splitlines()
    characters = ["", *known, " "]
    best = scores.argmax(axis=1)
    kept = (best != 0) & (best != numpy.concatenate([[0], best[:-1]]))
    text = "".join(characters[i] for i in best[kept])
    return text, 100 * scores.max(axis=1)[kept].mean()


@pytest.fixture(scope="module")
def session():
    package = importlib.util.find_spec("rapidocr_onnxruntime").submodule_search_locations[0]
    return onnxruntime.InferenceSession(
        pathlib.Path(package) / "models" / "ch_PP-OCRv4_rec_infer.onnx")


@pytest.fixture(scope="module")
def ocr(build_example):
    return build_example("ocr") / "ocr"


@pytest.mark.parametrize("text,size", LINES, ids=[text[:12] for text, _ in LINES])
def test_reads_a_line(ocr, session, tmp_path, text, size):
    picture = draw_line(text, size)
    file = tmp_path / "line.png"
    picture.save(file)
    done = subprocess.run([ocr, file], stdout=subprocess.PIPE, text=True, check=True)
    found, sure = re.fullmatch(rf"{file}: (.*) \(([\d.]+) %\)\n", done.stdout).groups()
    expected, expected_sure = reference_answer(session, picture)
    assert expected.strip() == text, "ONNX Runtime itself does not read this"
    assert found == expected
    assert float(sure) == pytest.approx(expected_sure, abs=0.2)


def test_one_object_serves_all_widths(ocr, tmp_path):
    files = []
    for number, (text, size) in enumerate(LINES):
        files.append(tmp_path / f"{number}.png")
        draw_line(text, size).save(files[-1])
    done = subprocess.run([ocr, *files], stdout=subprocess.PIPE, text=True, check=True)
    for line, (text, _) in zip(done.stdout.splitlines(), LINES, strict=True):
        assert text in line


def test_a_file_that_is_no_picture(ocr, tmp_path):
    file = tmp_path / "text.png"
    file.write_text("this is no picture")
    done = subprocess.run([ocr, file], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "text.png: " in done.stderr and "PNG" in done.stderr
