"""One driver for all tests: a process has one library of a name."""

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "ops")]
import emulated  # noqa: E402


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    return emulated.Driver(tmp_path_factory.mktemp("driver"))
