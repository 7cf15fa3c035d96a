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
@pytest.mark.parametrize("name,opset", versions.find_versions())
def test_version(name, opset):
    if name in UNCHECKED:
        assert not versions.is_known(name)
        return
    examples = list(versions.make_examples(name, opset, 1))
    assert examples, "no model of it can be made"
    import compare

    for example in examples:
        outcome = compare.check(example)
        assert outcome.kind == compare.PASS, outcome
