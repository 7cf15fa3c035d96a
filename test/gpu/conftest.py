"""One driver for all tests: a process has one library of a name."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import emulated  # noqa: E402


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    return emulated.Driver(tmp_path_factory.mktemp("driver"))
