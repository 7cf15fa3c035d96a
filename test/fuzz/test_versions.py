"""Models of each version of each operator since operator set 6: dlc raises them
to the newest set, the reference runs them as they are."""

import pytest
import versions

# What no generated test can check, and why.
UNCHECKED = {
    "Bernoulli": "random numbers",
    "Multinomial": "random numbers",
    "RandomNormal": "random numbers",
    "RandomNormalLike": "random numbers",
    "RandomUniform": "random numbers",
    "RandomUniformLike": "random numbers",
    "ImageDecoder": "dlc refuses it",
}
# Versions that neither ONNX Runtime nor ONNX's evaluator can run.
WITHOUT_REFERENCE = {
    ("AveragePool", 6), ("Dropout", 6), ("GRU", 6), ("GlobalLpPool", 22), ("LSTM", 6),
    ("MaxRoiPool", 22), ("RNN", 6), ("Upsample", 6),
}  # fmt: skip


@pytest.mark.parametrize("name,opset", versions.find_versions())
def test_version(name, opset):
    if name in UNCHECKED:
        assert not versions.is_known(name)
        return
    examples = list(versions.make_examples(name, opset, 1))
    if (name, opset) in WITHOUT_REFERENCE:
        assert not examples, "there is a reference now"
        return
    assert examples, "no model of it can be made"
    import compare

    for example in examples:
        outcome = compare.check(example)
        assert outcome.kind == compare.PASS, outcome
