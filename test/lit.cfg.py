"""The configuration of the tests that lit runs: text files with RUN lines."""

import os

import lit.formats

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
build = os.environ.get("DLC_BUILD_DIR", os.path.join(root, "build"))

config.name = "dlc"
config.test_format = lit.formats.ShTest()
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs"]
config.test_source_root = os.path.join(root, "test")
config.test_exec_root = os.path.join(build, "test")
config.environment["PYTHONPATH"] = os.path.join(root, "python")
config.environment["PATH"] = os.pathsep.join(
    [os.path.join(build, "bin"), os.path.join(build, "venv", "bin"),
     "/usr/lib/llvm-22/bin", os.environ["PATH"]])
config.substitutions.append(("%{root}", root))
config.substitutions.append(("%{build}", build))
