"""Of a test with many cases a part runs by default: DLC_EVERY=1, which
`scripts/test --all` sets, or a filter runs all, and the mark `every` a test's."""

import collections
import hashlib
import os
import zlib

import numpy as np
import pytest

FEW, VALUES = 2, 4


def choose(items):
    """FEW of a test's cases, always the same ones, or more, so that each value of
    a parameter with up to VALUES of them has a case."""
    order = sorted(items, key=lambda item: hashlib.md5(item.name.encode()).digest())
    values = collections.defaultdict(set)
    for item in items:
        for name, index in item.callspec.indices.items():
            values[name].add(index)
    seen, first, others = set(), [], []
    for item in order:
        pairs = {(name, index) for name, index in item.callspec.indices.items() if len(values[name]) <= VALUES}
        (others if pairs <= seen else first).append(item)
        seen |= pairs
    return (first + others)[: max(FEW, len(first))]


def pytest_collection_modifyitems(config, items):
    if os.environ.get("DLC_EVERY") == "1" or config.option.keyword or any("::" in name for name in config.args):
        return
    tests = collections.defaultdict(list)
    for item in items:
        if hasattr(item, "callspec") and not item.get_closest_marker("every"):
            tests[item.nodeid.split("[")[0]].append(item)
    left = {item for cases in tests.values() for item in set(cases) - set(choose(cases))}
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def pytest_configure(config):
    config.addinivalue_line("markers", "every: no case of this test is left out")


@pytest.fixture(autouse=True)
def own_numbers(request):
    """A module's random numbers start anew in each test, whatever ran before it."""
    for generator in vars(request.module).values():
        if isinstance(generator, np.random.Generator):
            seed = zlib.crc32(request.node.name.encode())
            generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state
