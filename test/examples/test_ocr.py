"""examples/ocr reads what is written, on pages and at any width, and is as sure
of it as ONNX Runtime is on the same picture."""

import importlib.util
import math
import pathlib
import re
import subprocess

import numpy
import onnxruntime
import pytest
import scipy.ndimage
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


def reference_boxes(session, picture: Image.Image) -> list[tuple[int, int, int, int]]:
    """The lines of a page, by the rules of examples/ocr/lines.c: left, top, right, bottom."""
    pixels = numpy.asarray(picture, dtype=float)[:, :, ::-1]
    shrink = min(1, 960 / max(picture.size))
    width, height = (max(1, int(side * shrink / 32 + 0.5)) * 32 for side in picture.size)
    pixels = scale(scale(pixels, height, 0), width, 1) / 255
    pixels = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    likely = session.run(None, {"x": pixels.transpose(2, 0, 1)[None].astype(numpy.float32)})[0][0, 0]
    areas, _ = scipy.ndimage.label(likely > 0.3, numpy.ones((3, 3)))
    boxes = []
    for rows, columns in scipy.ndimage.find_objects(areas):
        h, w = rows.stop - rows.start, columns.stop - columns.start
        if h < 3 or w < 3 or likely[rows, columns].mean() < 0.5:
            continue
        by, sx, sy = w * h * 1.6 / (2 * (w + h)), picture.width / width, picture.height / height
        boxes.append((
            max(0, int((columns.start - by) * sx)), max(0, int((rows.start - by) * sy)),
            min(picture.width, int((columns.stop + by) * sx + 0.5)),
            min(picture.height, int((rows.stop + by) * sy + 0.5)),
        ))  # fmt: skip
    return sorted(boxes, key=lambda box: box[1] + box[3])


def reference_is_turned(session, picture: Image.Image) -> bool:
    width = min(192, math.ceil(48 * picture.width / picture.height))
    pixels = scale(scale(numpy.asarray(picture, dtype=float)[:, :, ::-1], 48, 0), width, 1) / 127.5 - 1
    pixels = numpy.pad(pixels, ((0, 0), (0, 192 - width), (0, 0)))
    return session.run(None, {"x": pixels.transpose(2, 0, 1)[None].astype(numpy.float32)})[0][0, 1] > 0.9


def reference_answer(session, picture):
    """The text as ONNX Runtime's scores say it, and how sure they are."""
    scores = session.run(None, {"x": reference_input(picture)})[0][0]
    known = session.get_modelmeta().custom_metadata_map["character"].splitlines()
    characters = ["", *known, " "]
    best = scores.argmax(axis=1)
    kept = (best != 0) & (best != numpy.concatenate([[0], best[:-1]]))
    text = "".join(characters[i] for i in best[kept])
    return text, 100 * scores.max(axis=1)[kept].mean()


def load(model: str) -> onnxruntime.InferenceSession:
    package = importlib.util.find_spec("rapidocr_onnxruntime").submodule_search_locations[0]
    return onnxruntime.InferenceSession(pathlib.Path(package) / "models" / model)


@pytest.fixture(scope="module")
def session():
    return load("ch_PP-OCRv4_rec_infer.onnx")


@pytest.fixture(scope="module")
def ocr(build_example):
    return build_example("ocr") / "ocr"


@pytest.mark.parametrize("text,size", LINES, ids=[text[:12] for text, _ in LINES])
def test_reads_a_line(ocr, session, tmp_path, text, size):
    picture = draw_line(text, size)
    file = tmp_path / "line.png"
    picture.save(file)
    done = subprocess.run([ocr, "-l", file], stdout=subprocess.PIPE, text=True, check=True)
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
    done = subprocess.run([ocr, "-l", *files], stdout=subprocess.PIPE, text=True, check=True)
    for line, (text, _) in zip(done.stdout.splitlines(), LINES, strict=True):
        assert text in line


def test_a_file_that_is_no_picture(ocr, tmp_path):
    file = tmp_path / "text.png"
    file.write_text("this is no picture")
    done = subprocess.run([ocr, file], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "text.png: " in done.stderr and "PNG" in done.stderr


# What stands on each page: text, size of letters, left, top. The second page is
# shrunk for the detector, the third has two columns, the last one line.
PAGES = {
    "report": ((1000, 620), [
        ("Report of the year 2026", 48, 60, 40),
        ("Every quarter was better than the last one", 32, 60, 150),
        ("We shipped 128 boxes in the first quarter", 32, 60, 240),
        ("Total amount 1234.56 EUR", 40, 60, 400),
    ]),
    "large": ((1800, 1300), [
        ("Sphinx of black quartz", 90, 120, 100),
        ("judge my vow", 70, 160, 400),
        ("Signed on 24 November", 80, 500, 900),
    ]),
    "columns": ((900, 400), [
        ("left column", 36, 40, 60),
        ("right column", 36, 520, 60),
        ("second line", 36, 40, 200),
        ("page 17", 36, 520, 200),
    ]),
    "small": ((320, 90), [("one line only", 30, 30, 25)]),
}  # fmt: skip


def draw_page(size, lines) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    for text, letters, left, top in lines:
        ImageDraw.Draw(picture).text((left, top), text, fill=(20, 20, 60), font=ImageFont.load_default(letters))
    return picture


@pytest.mark.parametrize("is_turned", [False, True], ids=["upright", "turned"])
@pytest.mark.parametrize("page", PAGES)
def test_reads_a_page(ocr, session, tmp_path, page, is_turned):
    picture = draw_page(*PAGES[page])
    if is_turned:
        picture = picture.rotate(180)
    file = tmp_path / "page.png"
    picture.save(file)
    done = subprocess.run([ocr, file], stdout=subprocess.PIPE, text=True, check=True)
    found = re.findall(rf"^{file}: (.*) \(([\d.]+) %\)$", done.stdout, re.M)
    # What is written, in its order.
    written = [text for text, *_ in PAGES[page][1]]
    read = [text.replace(" ", "") for text, _ in found]
    assert read == [text.replace(" ", "") for text in (written[::-1] if is_turned else written)]
    # The same three models in ONNX Runtime.
    detector, sorter = load("ch_PP-OCRv4_det_infer.onnx"), load("ch_ppocr_mobile_v2.0_cls_infer.onnx")
    expected = []
    for box in reference_boxes(detector, picture):
        part = picture.crop(box)
        turned = reference_is_turned(sorter, part)
        assert turned == is_turned
        expected.append(reference_answer(session, part.rotate(180) if turned else part))
    assert sorted(text for text, _ in found) == sorted(text for text, _ in expected)
    for (_, sure), (_, expected_sure) in zip(sorted(found), sorted(expected)):
        assert float(sure) == pytest.approx(expected_sure, abs=0.3)


def test_a_blank_page(ocr, tmp_path):
    file = tmp_path / "blank.png"
    Image.new("RGB", (300, 200), "white").save(file)
    done = subprocess.run([ocr, file], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == ""


def test_one_object_holds_the_three_models(ocr):
    done = subprocess.run(["nm", "-g", "--defined-only", ocr.parent / "ppocr.o"], stdout=subprocess.PIPE, text=True,
                          check=True)
    for model in ("det", "cls", "rec"):
        assert f" ppocr_{model}_run\n" in done.stdout
