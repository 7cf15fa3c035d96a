"""The command lines of the programs in bench: what is wrong is said at once."""

import argparse
import pathlib
import subprocess
import sys

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.append(str(BENCH))

import commandline  # noqa: E402


def test_types(tmp_path):
    assert commandline.thread_counts("1,2,256") == [1, 2, 256]
    assert commandline.positive("20") == 20
    assert commandline.model_names("resnet18,lstm") == ["resnet18", "lstm"]
    assert commandline.data_type("f32") == commandline.data_type("float32") == "float32"
    assert commandline.output_file(str(tmp_path / "x.md")) == tmp_path / "x.md"


@pytest.mark.parametrize(
    ("make", "text", "message"),
    [
        (commandline.thread_counts, "1,,2", "expected numbers from 1 to 256 with commas, found '1,,2'"),
        (commandline.thread_counts, "0", "expected numbers from 1 to 256 with commas, found '0'"),
        (commandline.thread_counts, "257", "expected numbers from 1 to 256 with commas, found '257'"),
        (commandline.positive, "-1", "expected a number of at least 1, found '-1'"),
        (commandline.output_file, "/no/such/x.md", "expected a file in a folder that is there, found '/no/such/x.md'"),
        (commandline.output_file, "/", "expected a file in a folder that is there, found '/'"),
    ],
)
def test_errors(make, text, message):
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        make(text)


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("run", ["--models=resnet18,none", "--dtype=f32"], "no model is called none; --list has their names"),
        ("compile", ["none"], "no model is called none; bench/run --list has their names"),
        ("contractions", ["none"], "no model is called none; bench/run --list has their names"),
        ("kernels", ["--rounds=0"], "argument --rounds: expected a number of at least 1, found '0'"),
    ],
)
def test_programs(program, arguments, message):
    command = [sys.executable, BENCH / f"{program}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(BENCH.parent / "python")})
    assert done.returncode == 2
    assert message in done.stderr
