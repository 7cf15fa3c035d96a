"""Builds the example programs as a user would: with their own CMakeLists."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DLC_BUILD_DIR", ROOT / "build"))


@pytest.fixture(scope="session")
def build_example(tmp_path_factory):
    """build_example(name) configures and builds examples/name against the dlc
    of the build folder, and returns its build folder."""

    def build(name: str) -> pathlib.Path:
        folder = tmp_path_factory.mktemp(name)
        python = BUILD / "venv" / "bin" / "python"
        for command in (
            [BUILD / "venv/bin/cmake", "-S", ROOT / "examples" / name, "-B", folder,
             f"-DCMAKE_PREFIX_PATH={BUILD}", f"-DPython3_EXECUTABLE={python}"],
            [BUILD / "venv/bin/cmake", "--build", folder],
        ):
            # All that a hanging build started ends with it.
            done = subprocess.run(["timeout", "600", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True)
            assert done.returncode == 0, done.stdout
        return folder

    return build
