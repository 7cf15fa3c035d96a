"""Pipelines that one can see and change, and what is seen of them: flags of
dlc and dlc-opt, --report, --dump-graph."""

import os
import pathlib
import re
import subprocess
import xml.etree.ElementTree as xml

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DLC_BUILD_DIR", ROOT / "build"))


def run(*arguments, tool="dlc", text=None, cwd=None):
    done = subprocess.run(
        [BUILD / "bin" / tool, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, input=text, cwd=cwd,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def check_refused(expected, *arguments, **kwargs):
    status, out, err = run(*arguments, **kwargs)
    assert (status, out) == (1, "") and err.count("\n") == 1, err
    assert expected in err, err


def make_model(path, batch=1):
    """A block of two convolutions with a sum around them, then a product."""
    rng = np.random.default_rng(0)

    def constant(name, *shape):
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["a"], name="/block/conv1/Conv", pads=[1] * 4),
        node("Relu", ["a"], ["b"], name="/block/relu/Relu"),
        node("Conv", ["b", "w2"], ["c"], name="/block/conv2/Conv", pads=[1] * 4),
        node("Add", ["c", "x"], ["d"], name="/block/Add"),
        node("GlobalAveragePool", ["d"], ["e"], name="/head/pool"),
        node("Flatten", ["e"], ["f"], name="/head/flat"),
        node("MatMul", ["f", "w3"], ["y"], name="/head/fc <&>"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, 8, 16, 16))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (batch, 10))],
        [constant("w1", 8, 8, 3, 3), constant("w2", 8, 8, 3, 3), constant("w3", 8, 10)],
    )
    opsets = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


@pytest.fixture
def model(tmp_path):
    return make_model(tmp_path / "model.onnx")


# --pass-pipeline.


def test_the_printed_pipeline_gives_the_same_object(model, tmp_path):
    out = run("--print-pipeline")[1]
    flags = [f"--pass-pipeline={line.replace(': ', ':', 1)}" for line in out.splitlines()]
    assert len(flags) == 6
    assert run(model, "-o", tmp_path / "a.o") == (0, "", "")
    assert run(model, *flags, "-o", tmp_path / "b.o") == (0, "", "")
    assert (tmp_path / "a.o").read_bytes() == (tmp_path / "b.o").read_bytes()
    # All at once, without phases.
    passes = [line.partition("builtin.module(")[2][:-1] for line in out.splitlines()]
    whole = f"--pass-pipeline=builtin.module({','.join(passes)})"
    assert run(model, whole, "-o", tmp_path / "c.o") == (0, "", "")
    assert (tmp_path / "a.o").read_bytes() == (tmp_path / "c.o").read_bytes()


def test_a_phase_of_ones_own(model):
    text = run(model, "--pass-pipeline=graph:cse", "--to=graph")[1]
    assert text == run(model, "--to=import", "--add-passes=import:cse")[1]
    assert run(model, "--pass-pipeline=graph:", "--to=graph")[1] == run(model, "--to=import")[1]


def test_wrong_pipelines(model):
    for flags, expected in [
        (["--pass-pipeline=graph:nobody"], "'nobody' does not refer to a registered pass"),
        (["--pass-pipeline=nope:cse"], "expected one of the phases 'simplify', 'import', 'graph', 'tensor', 'buffer', 'llvm' for --pass-pipeline, found 'nope'"),
        (["--pass-pipeline=nobody"], "'nobody' does not refer to a registered pass"),
        (["--pass-pipeline=obj:cse"], "expected a phase behind 'onnx', up to 'llvm'"),
        (["--pass-pipeline=tensor:cse", "--to=graph"], "up to 'graph', for --pass-pipeline, found 'tensor'"),
        (["--pass-pipeline=graph:cse", "--pass-pipeline=graph:cse"], "for the phase 'graph', found two"),
    ]:  # fmt: skip
        check_refused(expected, model, *flags)


# dlc-opt.

TWICE = """
func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = dlc.tanh %x : tensor<2xf32>
  %1 = dlc.tanh %x : tensor<2xf32>
  %2 = dlc.add %0, %1 : tensor<2xf32>, tensor<2xf32>
  return %2 : tensor<2xf32>
}
"""


def test_dlc_opt_disables_passes():
    status, out, err = run("--cse", tool="dlc-opt", text=TWICE)
    assert (status, err) == (0, "") and out.count("dlc.tanh") == 1
    flags = ["--pass-pipeline=builtin.module(func.func(cse),canonicalize)", "--disable-pass=cse"]
    status, out, err = run(*flags, tool="dlc-opt", text=TWICE)
    assert (status, err) == (0, "") and out.count("dlc.tanh") == 2


def test_dlc_opt_refuses_what_dlc_refuses():
    status, _, err = run("--cse", "--disable-pass=nobody", tool="dlc-opt", text=TWICE)
    assert status == 1 and "no pass of the pipeline is named 'nobody'; these can be: cse" in err
    flags = ["--dlc-lower-to-linalg", "--disable-pass=dlc-lower-to-linalg"]
    status, _, err = run(*flags, tool="dlc-opt", text=TWICE)
    assert status == 1 and "the pass 'dlc-lower-to-linalg' cannot be disabled" in err


def test_dlc_opt_says_what_it_cannot_open():
    status, _, err = run("nowhere.mlir", tool="dlc-opt")
    assert status == 1 and "dlc-opt: error: " in err and "nowhere.mlir" in err
    assert "cse" in run("--list-passes", tool="dlc-opt")[1]
    assert "dlc" in run("--show-dialects", tool="dlc-opt")[1].split()


# -mcpu=help.


def test_help_of_the_target():
    status, out, err = run("-target=aarch64", "-mcpu=help")
    assert (status, err) == (0, "")
    assert out.startswith("Available CPUs for aarch64") and "cortex-a72" in out
    status, out, err = run("-target=riscv64", "-mattr=help")
    assert (status, err) == (0, "")
    assert out.startswith("Available features for riscv64") and "+feature" in out
    assert re.search(r"^  v +- ", out, re.MULTILINE)
    check_refused("unknown target 'z80'", "-target=z80", "-mcpu=help")


# --report.


def read_report(err):
    rows = {line[:22].strip(): line[22:].split() for line in err.splitlines()}
    phases = rows.pop("behind the phase")
    return {
        name: dict(zip(phases, (int(x.replace(",", "")) for x in numbers)))
        for name, numbers in rows.items()
        if numbers and numbers[0].replace(",", "").isdigit()
    }


def test_report(model):
    status, out, err = run(model, "--report", "--conv=direct", "-o", os.devnull, "--to=tensor")
    assert (status, out) == (0, "")
    report = read_report(err)
    assert list(report["operations"]) == ["onnx", "simplify", "import", "graph", "tensor"]
    assert report["operations"]["onnx"] == 7
    # Two convolutions of 8 to 8 channels, and a product.
    macs = 2 * 16 * 16 * 8 * 8 * 9 + 80
    assert set(report["multiply-adds"].values()) == {macs}
    assert report["bytes of weights"]["onnx"] == 4 * (2 * 8 * 8 * 9 + 80)
    # x and y, a to e, where reshapes take no pass.
    image = 4 * 8 * 16 * 16
    assert report["passes over memory"]["onnx"] == 13
    assert report["bytes read and written"]["onnx"] == 10 * image + 4 * (2 * 8 + 10)
    passes = report["passes over memory"]
    # Two transposes and a mean of one read and one write each, two convolutions
    # and a product likewise, and a sum that is added up as it is made.
    assert passes["tensor"] == 2 * 2 + 2 + 3 * 2 + 3
    assert "dynamic" not in err


def test_report_of_fused_block(tmp_path):
    """Normalisations, activations, residual sums, padding and a concatenation
    take no pass over memory of their own."""
    rng = np.random.default_rng(0)
    node, size = helper.make_node, (16, 16)
    values = {f"w{i}": rng.normal(size=(8, 8, k, k)) for i, k in enumerate((1, 1, 3, 3))}
    values |= {n: rng.uniform(1, 2, 8) for n in ("scale", "bias", "mean", "var")}
    nodes = [
        node("Conv", ["x", "w0"], ["a"]),
        node("Conv", ["a", "w1"], ["b0"]),
        node("BatchNormalization", ["b0", "scale", "bias", "mean", "var"], ["b1"]),
        node("HardSwish", ["b1"], ["b"]),
        node("Pad", ["b", "pads"], ["c0"]),
        node("Conv", ["c0", "w2"], ["c1"]),
        node("Add", ["c1", "a"], ["c2"]),
        node("Relu", ["c2"], ["c"]),
        node("Conv", ["a", "w3"], ["d0"], pads=[1] * 4),
        node("Sigmoid", ["d0"], ["d"]),
        node("Concat", ["c", "d"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 8, *size))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 16, *size))],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
        + [numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")],
    )  # fmt: skip
    path = tmp_path / "fused.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9), path)
    err = run(path, "--report", "--conv=direct", "-o", os.devnull, "--to=tensor")[2]
    transposes, copies = 2 * 2, 2  # of x and y; of a into the zeros around it
    convolutions = 2 + 2 + 3 + 2
    assert read_report(err)["passes over memory"]["tensor"] == transposes + copies + convolutions


def test_report_of_memory(model):
    err = run(model, "--report", "-o", os.devnull)[2]
    (line,) = [line for line in err.splitlines() if line.startswith("working memory of")]
    arena, live, places, borders, scratch = [
        int(word.replace(",", "")) for word in line.split() if word[0].isdigit()
    ]
    assert 0 < places <= live and places <= borders <= scratch <= arena


def test_report_of_winograd(model):
    report = read_report(run(model, "--report", "--conv=winograd", "-o", os.devnull, "--to=tensor")[2])
    # F(4, 3) multiplies 36 times for 16 results, instead of 144 times.
    assert report["multiply-adds"]["tensor"] == 2 * 16 * 16 * 8 * 8 * 9 // 4 + 80


def test_report_of_dynamic_sizes(tmp_path):
    path = make_model(tmp_path / "dynamic.onnx", "n")
    err = run(path, "--report", "--to=graph", "-o", os.devnull)[2]
    assert "what depends on dynamic sizes is left out" in err
    assert read_report(err)["bytes of weights"]["onnx"] == 4 * (2 * 8 * 8 * 9 + 80)
    err = run(path, "--report", "--to=graph", "--dim=n=1", "-o", os.devnull)[2]
    assert "dynamic" not in err and read_report(err)["multiply-adds"]["graph"] == 294992


# --dump-graph.

SVG = "{http://www.w3.org/2000/svg}"


def boxes_of(root):
    """The boxes of the nodes, by their texts."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is not None:
            rect = group.find(f"{SVG}rect")
            lines = tuple(text.text for text in group.findall(f"{SVG}text"))
            found[lines] = {key: float(rect.get(key)) for key in ("x", "y", "width", "height")}
    return found


def test_svg_of_the_model(model, tmp_path):
    path = tmp_path / "g.svg"
    assert run(model, f"--dump-graph=onnx:{path}", "-o", tmp_path / "x.o") == (0, "", "")
    root = xml.parse(path).getroot()
    boxes = boxes_of(root)
    assert set(boxes) == {
        ("input", "x"), ("Conv", "conv1/Conv", "const 8x8x3x3"), ("Relu", "relu/Relu"),
        ("Conv", "conv2/Conv", "const 8x8x3x3"), ("Add",), ("GlobalAveragePool", "pool"),
        ("Flatten", "flat"), ("MatMul", "fc <&>", "const 8x10"), ("output", "y"),
    }  # fmt: skip
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts.count("block") == 1 and texts.count("head") == 1  # the frames
    assert "1x8x16x16" in texts and "convolution, product" in texts
    # Nothing lies on anything else, and all goes down.
    rects = list(boxes.values())
    for i, a in enumerate(rects):
        for b in rects[:i]:
            assert (a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
                    or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"])  # fmt: skip
    order = [("input", "x"), ("Relu", "relu/Relu"), ("Add",), ("output", "y")]
    assert [boxes[lines]["y"] for lines in order] == sorted(boxes[lines]["y"] for lines in order)


def test_graph_of_each_phase(model, tmp_path):
    for phase, expected in [("import", "conv"), ("graph", "conv"), ("tensor", "contract")]:
        path = tmp_path / f"{phase}.dot"
        assert run(model, f"--dump-graph={phase}:{path}", "-o", tmp_path / "x.o")[0] == 0
        text = path.read_text()
        assert text.startswith('digraph "model" {') and text.endswith("}\n")
        assert f'label="{expected}\\n' in text and "subgraph cluster_" in text
        assert '"1x16x16x8"' in text
    # The default, and that of a shorter way.
    run(model, "--dump-graph=./a:b.dot", "-o", tmp_path / "x.o", cwd=tmp_path)
    assert (tmp_path / "a:b.dot").exists()
    assert run(model, f"--dump-graph={tmp_path}/d.dot", "-o", tmp_path / "x.o")[0] == 0
    assert (tmp_path / "d.dot").read_text() == (tmp_path / "graph.dot").read_text()
    run(model, f"--dump-graph={tmp_path}/d.dot", "--to=import", "-o", os.devnull)
    assert (tmp_path / "d.dot").read_text() == (tmp_path / "import.dot").read_text()


def test_groups_that_edges_leave_and_enter_again(tmp_path):
    """a/1 -> b -> a/2 makes no frame of a; c/1 -> c/2 does."""
    node = helper.make_node
    nodes = [node("Relu", ["x"], ["p"], name="/a/1"), node("Tanh", ["p"], ["q"], name="/b"),
             node("Add", ["p", "q"], ["r"], name="/a/2"), node("Exp", ["r"], ["s"], name="/c/1"),
             node("Neg", ["s"], ["y"], name="/c/2")]  # fmt: skip
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [])],
                              [value("y", TensorProto.FLOAT, [])])  # fmt: skip
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9), path)
    assert run(path, f"--dump-graph={tmp_path}/g.svg", "--to=onnx", "-o", os.devnull)[0] == 0
    texts = [text.text for text in xml.parse(tmp_path / "g.svg").getroot().iter(f"{SVG}text")]
    assert "a" not in texts and "c" in texts


def test_wrong_graphs(model, tmp_path):
    for flags, expected in [
        (["--dump-graph=g.png"], "expected a file .svg or .dot for --dump-graph, found 'g.png'"),
        (["--dump-graph="], "expected a file .svg or .dot"),
        (["--dump-graph=llvm:g.svg"], "expected a phase from 'onnx' to 'tensor' for --dump-graph"),
        (["--dump-graph=tensor:g.svg", "--to=graph"], "to 'graph' for --dump-graph, found 'tensor'"),
        (["--dump-graph=nope:g.svg"],
         "expected one of the phases 'onnx', 'simplify', 'import', 'graph', 'tensor' for --dump-graph, found 'nope'"),
        (["--dump-graph=nope:g.svg", "--to=simplify"], "phases 'onnx', 'simplify' for --dump-graph"),
        (["--dump-graph=nowhere/g.svg"], "cannot write 'nowhere/g.svg'"),
    ]:  # fmt: skip
        check_refused(expected, model, *flags, cwd=tmp_path)
    assert not (tmp_path / "model.o").exists()


def test_a_graph_of_many_nodes(tmp_path):
    """A chain with shortcuts over everything: it takes no time to speak of."""
    node = helper.make_node
    nodes, last = [], "x"
    for i in range(600):
        nodes.append(node("Relu", [last], [f"r{i}"], name=f"/s{i // 50}/b{i // 5}/relu{i}"))
        nodes.append(node("Add", [f"r{i}", "x" if i % 100 == 0 else last], [f"a{i}"],
                          name=f"/s{i // 50}/b{i // 5}/add{i}"))  # fmt: skip
        last = f"a{i}"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [4])],
                              [value(last, TensorProto.FLOAT, [4])])  # fmt: skip
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9), path)
    assert run(path, f"--dump-graph={tmp_path}/g.svg", "--to=onnx", "-o", os.devnull)[0] == 0
    assert len(boxes_of(xml.parse(tmp_path / "g.svg").getroot())) == 1202


def test_a_tensor_of_many_users(tmp_path):
    """One line of a tensor passes by, wherever it is used; shapes are beside all boxes, not on them."""
    node, value = helper.make_node, helper.make_tensor_value_info
    nodes, seen = [], ["x"]
    for i in range(24):
        nodes += [node("Concat", seen, [f"c{i}"], name=f"/b{i}/join", axis=1),
                  node("ReduceMean", [f"c{i}"], [f"m{i}"], name=f"/b{i}/a_mean_of_a_long_name"),
                  node("Relu", [f"c{i}"], [f"r{i}"], name=f"/b{i}/r"),
                  node("Add", [f"m{i}", f"r{i}"], [f"a{i}"], name=f"/b{i}/add")]  # fmt: skip
        seen = seen + [f"a{i}"]
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [1, 8, 14, 14])],
                              [value(seen[-1], TensorProto.FLOAT, None)])  # fmt: skip
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    assert run(path, f"--dump-graph=onnx:{tmp_path}/g.svg", "--to=onnx", "-o", os.devnull)[0] == 0
    root = xml.parse(tmp_path / "g.svg").getroot()
    # 300 edges from 25 tensors.
    assert float(root.get("width")) < 900
    rects = boxes_of(root).values()
    labels = [text for text in root.iter(f"{SVG}text") if text.get("class") == "shape"]
    assert len(labels) == 4 * 24 + 1
    for label in labels:
        x, y = float(label.get("x")), float(label.get("y"))
        for r in rects:
            assert x > r["x"] + r["width"] or x + 5 * len(label.text) < r["x"] or y - 7 > r["y"] + r["height"] or y < r["y"]


def test_equal_operands_are_one_line(tmp_path):
    node, value = helper.make_node, helper.make_tensor_value_info
    graph = helper.make_graph(
        [node("BatchNormalization", ["x", *"sbmv"], ["y"], name="n")], "g",
        [value("x", TensorProto.FLOAT, [1, 8, 4])], [value("y", TensorProto.FLOAT, [1, 8, 4])],
        [helper.make_tensor(c, TensorProto.FLOAT, [8], [1.0] * 8) for c in "sbmv"],
    )  # fmt: skip
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    assert run(path, f"--dump-graph=onnx:{tmp_path}/g.svg", "--to=onnx", "-o", os.devnull)[0] == 0
    assert ("BatchNormalization", "n", "const 8, 4 times") in boxes_of(xml.parse(tmp_path / "g.svg").getroot())
