"""The command line of dlc: what is refused gives one clear error, status 1 and
no file; what is written is complete."""

import os
import pathlib
import resource
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
DLC = os.environ.get("DLC", str(ROOT / "build" / "bin" / "dlc"))


def run(*arguments, cwd, **kwargs):
    kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
    done = subprocess.run([DLC, *map(str, arguments)], cwd=cwd, timeout=120, **kwargs)
    return done.returncode, done.stdout or b"", (done.stderr or b"").decode()


@pytest.fixture
def folder(tmp_path):
    """A folder with a model, model.onnx: y = Relu(x @ w)."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="mm"),
        helper.make_node("Relu", ["h"], ["y"], name="act"),
    ]
    weights = np.linspace(-1, 1, 5000, dtype=np.float32).reshape(50, 100)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 50))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 100))],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path


def snapshot(folder):
    return {
        str(path): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")
    }


def check_refused(folder, arguments, expected, **kwargs):
    """One line, status 1, and all files as they were."""
    before = snapshot(folder)
    status, out, err = run(*arguments, cwd=folder, **kwargs)
    assert status == 1, (status, err)
    assert out == b""
    assert err.count("\n") == 1 and err.endswith("\n"), err
    assert expected in err, err
    assert snapshot(folder) == before


# Outputs.


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["-o", "model.onnx"], "the output 'model.onnx' is the input"),
        (["-o", "./sub/../model.onnx"], "the output './sub/../model.onnx' is the input"),
        (["-o", "link"], "the output 'link' is the input"),
        (["--to=graph", "-o", "model.onnx"], "the output 'model.onnx' is the input"),
        (["-o", "x.h"], "the object and the header would both be 'x.h'"),
        (["--emit=obj,asm", "-o", "x.s"], "the object and the assembly would both be 'x.s'"),
        (["--emit=obj,obj"], "expected the object once, found it twice"),
        (["--emit=asm,asm"], "expected the assembly once, found it twice"),
        (["--emit="], "expected --emit=obj, header, shared, asm, llvm-ir, ptx, emulation or onnx, found ''"),
        (["--emit=exe"], "found 'exe'"),
        (["--emit=obj,header", "-o", "-"], "expected one kind of output for -o -, found 2"),
        (["--emit=shared", "-o", "-"], "expected a regular file for the shared library"),
        (["--emit=shared", "-o", "/dev/null"], "expected a regular file for the shared library"),
        (["-o", ""], "expected a file for -o, found ''"),
        (["-o", "."], "cannot write '.': Is a directory"),
        (["-o", "sub"], "cannot write 'sub': Is a directory"),
        (["-o", "x/"], "cannot write 'x/': No such file or directory"),
        (["-o", "none/x.o"], "cannot write 'none/x.o': No such file or directory"),
        (["-o", "model.onnx/x.o"], "cannot write 'model.onnx/x.o': Not a directory"),
        (["-o", "busy.o"], "cannot write 'busy.h': Is a directory"),
        (["-o", "/dev/full"], "cannot write '/dev/full': No space left on device"),
        (["--to=graph", "-o", "/dev/full"], "cannot write '/dev/full': No space left on device"),
        (["--to=graph", "-o", "none/x"], "cannot write 'none/x': No such file or directory"),
    ],
)
def test_outputs_that_cannot_be(folder, flags, expected):
    (folder / "sub").mkdir()
    (folder / "busy.h").mkdir()
    (folder / "link").symlink_to("model.onnx")
    check_refused(folder, ["model.onnx", *flags], expected)


def test_an_input_named_as_its_output(folder):
    (folder / "model.onnx").rename(folder / "model.o")
    check_refused(folder, ["model.o"], "the output 'model.o' is the input")
    (folder / "model.o").rename(folder / "model.h")
    check_refused(folder, ["model.h"], "the output 'model.h' is the input")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("output", ["locked/x.o", "kept.o"])
def test_outputs_without_permission(folder, output):
    (folder / "kept.o").write_text("kept")
    (folder / "kept.o").chmod(0o444)
    (folder / "locked").mkdir(mode=0o555)
    check_refused(folder, ["model.onnx", "-o", output], "Permission denied")


@pytest.mark.parametrize("flags", [[], ["--emit=asm"], ["--emit=shared"], ["--to=llvm"]])
def test_a_disk_that_is_full(folder, flags):
    """The limit of a file's size stands for it: it comes in the middle."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    check_refused(
        folder, ["model.onnx", *flags, "-o", "x"], "File too large", preexec_fn=limit
    )


@pytest.mark.parametrize("flags, made", [
    ([], {"x.so", "x.h"}), (["--emit=shared"], {"x.so"}), (["--emit=obj"], {"x.so"}),
    (["--emit=header,shared"], {"x.so", "x.h"}),
])  # fmt: skip
def test_library_by_extension(folder, flags, made):
    """-o x.so without --emit is a library, and else what --emit says."""
    before = set(snapshot(folder))
    assert run("model.onnx", *flags, "-o", "x.so", cwd=folder)[0] == 0
    assert {pathlib.Path(p).name for p in set(snapshot(folder)) - before} == made
    kind = (folder / "x.so").read_bytes()[16]  # ELF's e_type: 3 is a library
    assert kind == (1 if flags == ["--emit=obj"] else 3)


def test_no_temporary_folder(folder):
    environment = os.environ | {"TMPDIR": "/nonexistent"}
    check_refused(
        folder,
        ["model.onnx", "--emit=shared", "-o", "x.so"],
        "'/nonexistent/dlc-link",
        env=environment,
    )


def test_out_of_memory(folder):
    """One line at whatever allocation fails, and nothing half written."""
    weights = numpy_helper.from_array(np.ones((4096, 4096), "float32"), "w")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "large",
        [value("x", TensorProto.FLOAT, [1, 4096])],
        [value("y", TensorProto.FLOAT, [1, 4096])],
        [weights],
    )
    onnx.save(helper.make_model(graph), folder / "large.onnx")
    started = 128 << 20  # what the program and its libraries take
    failures = set()
    for more in range(80, 520, 40):

        def limit(bytes=started + (more << 20)):
            resource.setrlimit(resource.RLIMIT_AS, (bytes, bytes))

        before = snapshot(folder)
        status, _, err = run("large.onnx", "-o", "x.o", cwd=folder, preexec_fn=limit)
        if status == 0:
            break
        if "shared libraries" in err or status == 127:
            continue  # not even the program could be loaded
        assert status == 1, (status, err)
        assert "error: " in err and err.count("\n") == 1, err
        assert snapshot(folder) == before
        failures.add(err)
    assert failures


def test_failure_keeps_what_was_there(folder):
    """Files of an earlier compilation stay when a later one fails."""
    assert run("model.onnx", cwd=folder)[0] == 0
    (folder / "model.h").unlink()
    (folder / "model.h").mkdir()
    check_refused(folder, ["model.onnx"], "cannot write 'model.h': Is a directory")


def test_all_files_are_complete(folder):
    kinds = ["obj", "header", "asm", "llvm-ir", "shared"]
    status, out, err = run("model.onnx", "--emit=" + ",".join(kinds), "-o", "out.o", cwd=folder)
    assert (status, out, err) == (0, b"", "")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["model.onnx", "out.h", "out.ll", "out.o", "out.s", "out.so"]


def test_default_names(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "my net.onnx").write_bytes((folder / "model.onnx").read_bytes())
    assert run("sub/my net.onnx", cwd=folder)[0] == 0
    assert (folder / "my net.o").exists() and (folder / "my net.h").exists()


# The standard output.


def test_object_to_standard_output(folder):
    status, out, err = run("model.onnx", "-o", "-", cwd=folder)
    assert (status, err) == (0, "") and out[:4] == b"\x7fELF"
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]
    assert run("model.onnx", "-o", "model.o", cwd=folder)[0] == 0
    assert (folder / "model.o").read_bytes() == out


@pytest.mark.parametrize("kind, part", [("asm", b".text"), ("llvm-ir", b"define"),
                                        ("header", b"model_run(")])
def test_one_kind_to_standard_output(folder, kind, part):
    status, out, err = run("model.onnx", f"--emit={kind}", "-o", "-", cwd=folder)
    assert (status, err) == (0, "") and part in out
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]


def test_a_device_has_no_neighbours(folder):
    (folder / "null").symlink_to("/dev/null")
    assert run("model.onnx", "-o", "null", cwd=folder) == (0, b"", "")
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "null"]
    assert not os.path.isfile("/dev/null")


PRINTS = [["model.onnx", "--to=llvm"], ["model.onnx", "-o", "-"], ["info", "model.onnx"],
          ["info", "--json", "model.onnx"], ["--print-targets"], ["--print-supported-ops"],
          ["--print-pipeline"]]


@pytest.mark.parametrize("arguments", PRINTS, ids=" ".join)
def test_a_closed_standard_output(folder, arguments):
    check_refused(folder, arguments, "Bad file descriptor", stdout=None,
                  preexec_fn=lambda: os.close(1))


@pytest.mark.parametrize("arguments", PRINTS, ids=" ".join)
def test_a_full_standard_output(folder, arguments):
    with open("/dev/full", "wb") as full:
        check_refused(folder, arguments, "No space left on device", stdout=full)


@pytest.mark.parametrize("arguments", PRINTS, ids=" ".join)
def test_a_broken_pipe(folder, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    check_refused(folder, arguments, "Broken pipe", stdout=writer)
    os.close(writer)


def test_closed_streams_get_no_files(folder):
    """A file that gets the number of a stream would receive its text."""

    def close():
        for stream in range(3):
            os.close(stream)

    assert run("model.onnx", "-v", cwd=folder, stdout=None, stderr=None, preexec_fn=close)[0] == 0
    closed = (folder / "model.o").read_bytes(), (folder / "model.h").read_bytes()
    assert run("model.onnx", cwd=folder)[0] == 0
    assert closed == ((folder / "model.o").read_bytes(), (folder / "model.h").read_bytes())


# Inputs.


@pytest.mark.parametrize("command", [[], ["info"]])
@pytest.mark.parametrize(
    "name, content, expected",
    [
        ("missing.onnx", None, "cannot read 'missing.onnx': No such file or directory"),
        (".", None, "cannot read '.': Is a directory"),
        ("", None, "no input file"),
        ("empty.onnx", b"", "expected an ONNX model, found an empty file"),
        ("text.onnx", b"hello, world\n" * 50, "expected an ONNX model, found a text"),
        ("json.onnx", b'{"irVersion": 10}', "expected an ONNX model, found a text"),
        ("zip.onnx", b"PK\x03\x04\x14\0\0\0" + bytes(90), "found a ZIP archive"),
        ("png.onnx", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(90), "found a PNG image"),
        ("jpeg.onnx", b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(90), "found a JPEG image"),
        ("hdf.onnx", b"\x89HDF\r\n\x1a\n" + bytes(90), "found an HDF5 file"),
        ("tflite.onnx", b"\x1c\0\0\0TFL3" + bytes(90), "found a TensorFlow Lite model"),
        ("gguf.onnx", b"GGUF\3\0\0\0" + bytes(90), "found a GGUF file"),
        ("gzip.onnx", b"\x1f\x8b\x08\0" + bytes(90), "found a file compressed by gzip"),
        ("lfs.onnx", b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        ("elf.onnx", b"\x7fELF\2\1\1" + bytes(90), "found a program or an object file"),
        ("random.onnx", bytes(np.random.RandomState(1).bytes(999)), "not a complete ONNX model"),
    ],
)
def test_wrong_files(folder, command, name, content, expected):
    if content is not None:
        (folder / name).write_bytes(content)
    check_refused(folder, [*command, name], expected)


@pytest.mark.parametrize(
    "flags, content, expected",
    [
        ([], b"", "expected IR as text in 'x.mlir', found an empty file"),
        ([], b"\x08\x0a\0\0", "expected IR as text in 'x.mlir', found a binary file"),
        ([], b"module {\n  garbage\n}\n", "x.mlir:2:3: error: custom op 'garbage' is unknown"),
        ([], b"module {\n", "x.mlir:1:9: error: expected operation name"),
        ([], b"func.func @main() { return }", "expected the attribute 'dlc.name'"),
        ([], b"module attributes {dlc.name = 3} { func.func @main() { return } }", "'dlc.name'"),
        (["--from=graph"], b"func.func @main() { return }", "expected the attribute 'dlc."),
        (["--dim=n=3"], b"module {}", "expected an ONNX model for --dim, found IR as text"),
        (["--shape=x:3"], b"module {}", "expected an ONNX model for --shape, found IR as text"),
        (["--name=x"], b"module {}", "expected an ONNX model for --name, found IR as text"),
    ],
)
def test_wrong_text(folder, flags, content, expected):
    (folder / "x.mlir").write_bytes(content)
    check_refused(folder, ["x.mlir", *flags], expected)


def test_text_that_is_no_file(folder):
    check_refused(folder, ["none.mlir"], "cannot read 'none.mlir': No such file or directory")
    check_refused(folder, [".", "--from=graph"], "cannot read '.': Is a directory")
    check_refused(folder, ["model.onnx", "--from=graph"], "found a binary file")


# Options.


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["other.onnx"], "expected one model, found 'model.onnx' and 'other.onnx'"),
        (["--nonesuch"], "unknown command line argument '--nonesuch'"),
        (["--targt=x"], "unknown command line argument '--targt=x'; did you mean '--target=x'?"),
        (["-target=pdp11"], "unknown target 'pdp11'"),
        (["-target=sparc-unknown-linux"], "unknown target 'sparc-unknown-linux'"),
        (["-mcpu=nonesuch"], "unknown CPU 'nonesuch'"),
        (["-target=aarch64", "-mcpu=haswell"], "unknown CPU 'haswell' for target aarch64"),
        (["-mattr=+nonesuch"], "unknown feature 'nonesuch'"),
        (["-mattr=fma"], "expected '+fma' or '-fma', found 'fma'"),
        (["-O4"], "expected -O0 to -O3, found -O4"),
        (["-Ofast"], "expected -O0 to -O3, found -Ofast"),
        (["--conv=fast"], "expected --conv=auto, direct, winograd or fft, the last two with sizes as "
                          "winograd-4x6 and fft-16x32, found 'fast'"),
        (["--conv=winograd-0x4"], "winograd-4x6 and fft-16x32, found 'winograd-0x4'"),
        (["--threads=0"], "expected --threads=1 to 256, found '0'"),
        (["--threads=-3"], "expected --threads=1 to 256, found '-3'"),
        (["--threads=two"], "expected --threads=1 to 256, found 'two'"),
        (["--threads="], "expected --threads=1 to 256, found ''"),
        (["--threads=99999999999999999999"], "expected --threads=1 to 256, found '99999999999999999999'"),
        (["--emit=onnx", "--opset=-1"], f"expected --opset=1 to {onnx.defs.onnx_opset_version()}, found '-1'"),
        (["--emit=onnx", "--opset=1.5"], f"expected --opset=1 to {onnx.defs.onnx_opset_version()}, found '1.5'"),
        (["--matmul=fast"], "expected --matmul=direct or strassen, found 'fast'"),
        (["--to=nowhere"], "expected one of the phases"),
        (["--from=nowhere"], "expected one of the phases"),
        (["--from=graph", "--to=import"], "expected a phase of --to behind 'graph'"),
        (["--to=graph", "--emit=obj"], "expected --emit or --to=graph, found both"),
        (["--shape=x"], "expected --shape=input:1x3x?x?, found 'x'"),
        (["--shape=x:2xax3"], "expected --shape=input:1x3x?x?, found 'x:2xax3'"),
        (["--shape=none:2"], "no input is named 'none'; the model has 'x'"),
        (["--dim=n"], "expected --dim=name=size, or --dim=name=least..largest, found 'n'"),
        (["--dim=n=-1"], "expected --dim=name=size, or --dim=name=least..largest, found 'n=-1'"),
        (["--dim=n=1"], "no dimension is named 'n'"),
        (["--print-ir-after=nonesuch"], "is named 'nonesuch'; try --print-pipeline"),
        (["--disable-pass=nonesuch"], "nonesuch"),
        (["--add-passes=nowhere:cse"], "expected one of the phases"),
        (["--add-passes=graph:nonesuch"], "'nonesuch' does not refer to a registered pass"),
        (["--add-passes=graph:cse{a=1}"], "no such option a"),
        (["--add-passes=graph:cse("], "cannot add the passes 'cse('"),
        (["--remarks=["], "is no regular expression"),
        (["--print-targets", "--print-pipeline"], "expected one of --print-targets"),
        (["-o"], "requires a value"),
        (["-v=3"], "invalid value"),
    ],
)
def test_wrong_options(folder, flags, expected):
    check_refused(folder, ["model.onnx", *flags], expected)


def test_no_input(folder):
    check_refused(folder, [], "no input file; try 'dlc --help'")
    check_refused(folder, ["info"], "no input file; try 'dlc info --help'")


# @file.


def test_response_file(folder):
    (folder / "flags").write_text("-o 'a b.o'\n--name=\"other\"\n  -O1 model.onnx\n")
    assert run("@flags", cwd=folder) == (0, b"", "")
    assert "other_run(" in (folder / "a b.h").read_text()


def test_response_files_nest_and_mix(folder):
    (folder / "inner").write_text("--name=inner")
    (folder / "flags").write_text("@inner -o x.o")
    assert run("model.onnx", "@flags", "-O0", cwd=folder) == (0, b"", "")
    assert "inner_run(" in (folder / "x.h").read_text()


def test_response_file_of_a_command(folder):
    (folder / "flags").write_text("model.onnx --json")
    status, out, err = run("info", "@flags", cwd=folder)
    assert (status, err) == (0, "") and out.startswith(b"{")


def test_wrong_response_files(folder):
    check_refused(folder, ["@missing"], "cannot read '@missing'")
    (folder / "flags").write_text("--nonesuch model.onnx")
    check_refused(folder, ["@flags"], "unknown command line argument '--nonesuch'")
    (folder / "empty").write_text("")
    check_refused(folder, ["@empty"], "no input file")
    (folder / "self").write_text("model.onnx @self")
    check_refused(folder, ["@self"], "self")


# Flags.


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["model.onnx", "--inline-threshold=5"], "unknown command line argument"),
        (["model.onnx", "--dim=n=1", "--dim=n=2"], "expected one --dim for 'n', found two"),
        (["model.onnx", "--shape=x:2x50", "--shape=x:2x50"], "expected one --shape for 'x'"),
        (["model.onnx", "-target="], "expected a target for -target, found ''"),
        (["info", "model.onnx", "-o", "x"], "dlc info has no option '-o'"),
        (["-"], "expected an output file, -o, for a model from standard input"),
    ],
)
def test_flags_that_are_refused(folder, arguments, expected):
    check_refused(folder, arguments, expected, stdin=subprocess.DEVNULL)


def test_a_model_from_standard_input(folder):
    with open(folder / "model.onnx", "rb") as model:
        assert run("-", "-o", "a.o", cwd=folder, stdin=model) == (0, b"", "")
    assert run("model.onnx", "-o", "b.o", cwd=folder) == (0, b"", "")
    assert (folder / "a.o").read_bytes() == (folder / "b.o").read_bytes()


def test_a_question_mark_makes_a_size_dynamic(folder):
    assert run("model.onnx", "--shape=x:?x50", cwd=folder) == (0, b"", "")
    assert "int64_t x_dim0;" in (folder / "model.h").read_text()


def save(folder, nodes, inputs, outputs, weights=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.save(model, folder / "model.onnx")


def test_inputs_that_are_no_tensors(folder):
    info = helper.make_tensor_value_info
    numbers = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    mapping = helper.make_map_type_proto(TensorProto.INT64, numbers)
    maps = helper.make_value_info("x", helper.make_sequence_type_proto(mapping))
    number = info("z", TensorProto.FLOAT, [2]), info("y", TensorProto.FLOAT, [2])
    relu = helper.make_node("Relu", ["z"], ["y"])
    save(folder, [relu], [maps, number[0]], number[1:])
    check_refused(folder, ["model.onnx"], "expected a tensor, a sequence of tensors, or a map")
    one = helper.make_value_info("x", mapping)
    save(folder, [relu], [one, number[0]], [number[1], one])
    check_refused(folder, ["model.onnx"], "expected no map that is an input as it is")
    number = info("x", TensorProto.FLOAT, None), info("y", TensorProto.FLOAT, None)
    save(folder, [helper.make_node("Relu", ["x"], ["y"])], number[:1], number[1:])
    check_refused(folder, ["model.onnx"], "give a shape with --shape")


def test_what_no_memory_holds(folder):
    info = helper.make_tensor_value_info
    huge = [info(name, TensorProto.FLOAT, [2**40, 2**40]) for name in "xy"]
    save(folder, [helper.make_node("Relu", ["x"], ["y"])], huge[:1], huge[1:])
    status, _, err = run("model.onnx", cwd=folder)
    assert status == 1 and "expected fewer than 2^46 elements" in err
    vectors = [info("x", TensorProto.FLOAT, [33000, 1]), info("z", TensorProto.FLOAT, [1, 33000])]
    nodes = [
        helper.make_node("MatMul", ["x", "z"], ["h"]),
        helper.make_node("Softmax", ["h"], ["s"]),
        helper.make_node("ReduceSum", ["s"], ["y"], keepdims=0),
    ]
    save(folder, nodes, vectors, [info("y", TensorProto.FLOAT, [])])
    check_refused(folder, ["model.onnx", "-target=armv7"], "expected a workspace of at most")


def test_a_repeated_number_is_not_in_the_object(folder):
    value = numpy_helper.from_array(np.array([2.5], np.float32))
    save(
        folder,
        [helper.make_node("ConstantOfShape", ["s"], ["y"], value=value)],
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1024, 1024])],
        [numpy_helper.from_array(np.array([1024, 1024], np.int64), "s")],
    )
    assert run("model.onnx", cwd=folder) == (0, b"", "")
    assert (folder / "model.o").stat().st_size < 100_000
