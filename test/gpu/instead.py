"""A plugin of pytest that runs the tests of other suites on the emulated GPU:

    PYTHONPATH=python:test/gpu build/venv/bin/pytest -p instead test/classic

`dlc.compile` makes an object for a GPU then, which the driver of fake_cuda.c
runs; with options that this does not know it compiles as always."""

import pathlib
import tempfile

import emulated
import onnx

import dlc

FOLDER = tempfile.TemporaryDirectory()
DRIVER = emulated.Driver(pathlib.Path(FOLDER.name))
OF_CPU = dlc.compile
counts = {"gpu": 0, "cpu": 0}


class Network:
    """A model whose runs find its own kernels."""

    def __init__(self, model):
        folder = pathlib.Path(tempfile.mkdtemp(dir=FOLDER.name))
        self.network, self.kernels = emulated.compile(model, folder, DRIVER, "-O1")

    def __getattr__(self, name):
        return getattr(self.network, name)

    def run(self, *arguments, **options):
        DRIVER.reset(self.kernels)
        outputs = self.network.run(*arguments, **options)
        assert DRIVER.error == "", DRIVER.error
        return outputs


def compile(model, **options):
    if isinstance(model, bytes):
        model = onnx.load_from_string(model)
    options.pop("opt_level", None)
    if options:
        counts["cpu"] += 1
        return OF_CPU(model, **options)
    counts["gpu"] += 1
    try:
        return Network(model)
    except emulated.Failure as failure:
        raise dlc.CompileError(str(failure)) from failure


dlc.compile = compile


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line("models on the GPU: {gpu}, on the CPU: {cpu}".format(**counts))
