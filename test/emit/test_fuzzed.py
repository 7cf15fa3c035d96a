"""Random models, of the fuzzer, through --emit=onnx: valid, and the same in ONNX
Runtime. DLC_EMIT_SEEDS=5000000-5001000 takes others."""

import os
import pathlib
import sys

import onnx
import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parent / "fuzz"), str(HERE.parent / "conformance")]

import compare  # noqa: E402
import generate  # noqa: E402
from builder import Discard  # noqa: E402
from emit_common import evaluate, run  # noqa: E402

from onnxruntime.capi import onnxruntime_pybind11_state as states  # noqa: E402

NOT_RUN = (states.NotImplemented, states.Fail, states.InvalidArgument, states.InvalidGraph)
FIRST, LAST = map(int, os.environ.get("DLC_EMIT_SEEDS", "5000236-5000276").split("-"))


def is_valid(model):
    try:
        onnx.checker.check_model(model, full_check=True)
        return True
    except Exception:  # noqa: BLE001 - of the checker, of inference
        return False


@pytest.mark.parametrize("first", range(FIRST, LAST, 10))
def test_random_models(first, tmp_path):
    compared = 0
    for seed in range(first, min(first + 10, LAST)):
        try:
            example = generate.make_example(seed)
            wanted = evaluate(example.model, example.feeds)
        except (Discard, *NOT_RUN):
            continue
        onnx.save(example.model, tmp_path / "in.onnx")
        status, err = run(tmp_path / "in.onnx", "--emit=onnx", "-o", tmp_path / "out.onnx")
        assert status == 0, f"seed {seed}: {err}"
        after = onnx.load(tmp_path / "out.onnx")
        assert is_valid(after) or not is_valid(example.model), f"seed {seed}"
        try:
            found = evaluate(after, example.feeds)
        except NOT_RUN[0]:
            continue  # in the newer operator set
        for output, x, y in zip(example.model.graph.output, wanted, found, strict=True):
            problem = compare.differ(y, x)
            assert not problem, f"seed {seed}, {output.name}: {problem}"
        compared += 1
    assert compared
