"""The tables of bench/run."""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

import table  # noqa: E402


def make_row(**engines: float) -> dict:
    names = {"dlc": "dlc", "ort": "ONNX Runtime", "openvino": "OpenVINO"}
    times = {names[key]: seconds for key, seconds in engines.items()}
    return {"name": "a<b", "sizes": {"x": [1, 3], "n": 2}, "threads": 2, "median": times,
            "minimum": {key: seconds / 2 for key, seconds in times.items()}}  # fmt: skip


def test_the_ratio_is_to_the_faster_engine():
    assert table.find_ratio(make_row(dlc=2, ort=4, openvino=8)) == 0.5
    assert table.find_ratio(make_row(dlc=2, ort=4, openvino=1)) == 2
    assert table.find_ratio(make_row(dlc=2, ort=4, openvino=1), "minimum") == 2


def test_an_engine_that_is_missing_has_no_part():
    assert table.find_ratio(make_row(dlc=3, openvino=2)) == 1.5
    assert table.find_ratio(make_row(dlc=3)) is None
    assert table.find_ratio(make_row(ort=3)) is None
    assert table.find_ratio({"name": "failed", "sizes": {}, "threads": 0}) is None


def test_every_row_is_a_line():
    rows = [make_row(dlc=2e-3, ort=4e-3, openvino=8e-3), {"name": "c", "sizes": {}, "threads": 0}]
    lines = table.make_markdown(rows, "a machine").splitlines()
    assert lines[0] == "a machine"
    assert lines[4] == "| a<b | x=1x3 n=2 | 2 | 2 | 4 | 8 | 0.50 | 0.50 |"
    assert lines[5] == "| c |  | 0 | - | - | - | - | - |"
    assert len(table.format_row(rows[0])) == len(table.format_head())


def test_rows_of_8_bits_have_the_float_network_as_well():
    row = make_row(dlc=2e-3, ort=4e-3)
    row["median"]["dlc float32"] = 8e-3
    assert table.find_ratio(row) == 0.5
    lines = table.make_markdown([row], "a machine", dtype="int8").splitlines()
    assert lines[4].endswith("| 2 | 4 | - | 0.50 | 0.50 | 8 | 0.25 |")
    assert len(table.format_row(row, dtype="int8")) == len(table.format_head(dtype="int8"))


@pytest.mark.parametrize("ratio", [0.25, 1.0, 40.0])
def test_the_chart_is_xml(ratio: float):
    root = ElementTree.fromstring(table.make_svg([make_row(dlc=ratio, ort=1), make_row(dlc=1)]))
    bars = [e for e in root if e.tag.endswith("rect")]
    assert len(bars) == 1
    assert float(bars[0].get("width")) == pytest.approx(min(ratio, 1.5) * 400)
    assert float(bars[0].get("x")) + float(bars[0].get("width")) < float(root.get("width"))


def test_the_chart_says_what_a_bar_is():
    rows = [make_row(dlc=1, ort=2), {**make_row(dlc=1, ort=2), "sizes": {}, "threads": 1}]
    root = ElementTree.fromstring(table.make_svg(rows))
    texts = [e.text for e in root if e.tag.endswith("text")]
    assert texts == [table.TITLE, "a<b x=1x3 n=2, 2 threads", "0.50", "a<b, 1 thread", "0.50"]
