"""The contraction kernels of a GPU, emulated, against float64 numpy over the
sizes, layouts and types of the CPU's test."""

import importlib.util
import pathlib
import re
import subprocess

import emulated
import numpy as np
import onnx
from onnx import TensorProto, helper

import dlc

PATH = pathlib.Path(__file__).resolve().parents[1] / "Cpu" / "test_contract.py"
spec = importlib.util.spec_from_file_location("cpu_contract", PATH)
cpu = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cpu)


def describe(case, number, name):
    """An entry of the module's attributes, and the memref."""
    sizes = [str(n) for n in case.shape(number)]
    if case.dynamic:
        sizes = ["?"] * len(sizes)
    shape = "x".join([*sizes, case.types[number]])
    return f'{{name = "{name}", type = tensor<{shape}>}}', f"memref<{shape}>"


def make_module(table):
    """All cases as one model: the operands are its inputs, the results its
    outputs. The tables of shapes of dynamic outputs are in the code."""
    inputs, outputs, body, functions = [], [], [], []
    for i, case in enumerate(table):
        operands, types = [], []
        for number in range(len(case.types)):
            is_output = number == len(case.types) - 1
            list_ = outputs if is_output else inputs
            entry, type_ = describe(case, number, f"x{i}_{number}")
            name, sizes = f"%v{i}_{number}", ""
            if is_output and case.dynamic:
                for d, n in enumerate(case.shape(number)):
                    body.append(f"{name}_{d} = arith.constant {n} : index")
                sizes = f"[{', '.join(f'{name}_{d}' for d in range(len(case.shape(number))))}]"
            kind = "output" if is_output else "input"
            body.append(f"{name} = dlc.{kind} {len(list_)}{sizes} : {type_}")
            list_.append(entry)
            operands.append(name)
            types.append(type_)
        body.append(f"call @f{i}({', '.join(operands)}) : ({', '.join(types)}) -> ()")
        functions.append(case.text(f"f{i}").replace(
            "func.func @", "func.func private @").replace(
            " attributes {llvm.emit_c_interface}", ""))  # fmt: skip
    lines = "\n    ".join(body)
    return f"""module attributes {{dlc.name = "network", dlc.workspace = 0,
    dlc.inputs = [{", ".join(inputs)}], dlc.outputs = [{", ".join(outputs)}]}} {{
  func.func @main(%run: !llvm.ptr) -> i32 {{
    {lines}
    %status = arith.constant 0 : i32
    return %status : i32
  }}
{"".join(functions)}}}
"""


def test_contract(driver, tmp_path):
    # For a GPU zeros around an input are in memory.
    table = [case for case in cpu.cases() if not case.outside]
    text = tmp_path / "network.mlir"
    text.write_text(make_module(table))
    made = tmp_path / "network.o"
    command = ["dlc", text, "--from=buffer", "--gpu=sm_80", "-O1", "--emit=obj,emulation"]
    subprocess.run([*command, "-o", made], check=True)
    library, kernels = tmp_path / "network.so", tmp_path / "kernels.so"
    subprocess.run(["cc", "-shared", "-o", library, made, "-lm", "-lpthread"], check=True)
    emulation = tmp_path / "network.emulation.o"
    subprocess.run(["cc", "-shared", "-o", kernels, emulation, driver.emulator], check=True)

    driver.reset(kernels)
    random = np.random.default_rng(0)
    arrays = [case.arrays(random) for case in table]
    inputs = [array for operands in arrays for array in operands[:-1]]
    results = dlc.load(library, name="network").run(inputs)
    assert driver.error == ""
    assert {case.name for case in table} >= {"conv", "depthwise", "panels", "doubles"}
    wrong = []
    for case, operands, result in zip(table, arrays, results, strict=True):
        expected = case.expected(operands)
        error = np.abs(result - expected).max(initial=0)
        if not error <= cpu.TOLERANCE[case.types[-1]] * np.abs(expected).max(initial=1):
            wrong.append(f"{case}: {error}")
    assert not wrong, "\n".join(wrong)


def test_large_tiles_of_exact_products(driver, tmp_path):
    """Each form of a tile that occupies a GPU, and edges of it."""
    sizes = {(16896, 24, 128): "128 x 128", (16300, 20, 60): "128 x 64", (60, 20, 16380): "64 x 128"}
    random = np.random.default_rng(1)
    nodes, infos, given, expected = [], ([], []), [], []
    for i, (m, k, n) in enumerate(sizes):
        nodes.append(helper.make_node("MatMul", [f"a{i}", f"b{i}"], [f"c{i}"], name=f"n{i}"))
        for name, shape in ((f"a{i}", (m, k)), (f"b{i}", (k, n)), (f"c{i}", (m, n))):
            infos[name[0] == "c"].append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            )
        a, b = (random.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
        given += [a, b]
        expected.append(a.astype(np.float64) @ b)
    graph = helper.make_graph(nodes, "g", *infos)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    network, kernels = emulated.compile(model, tmp_path, driver, gpu="sm_70")
    command = ["dlc", tmp_path / "network.onnx", "--gpu=sm_70", "--remarks=dlc-map-kernels"]
    done = subprocess.run([*command, "-o", tmp_path / "x.o"], capture_output=True, text=True)
    assert re.findall(r"kernel: a tile of (\d+ x \d+) a block", done.stderr) == [*sizes.values()]
    driver.reset(kernels, capability=70)
    for result, exact in zip(network.run(given), expected, strict=True):
        assert np.abs(result - exact).max() <= 2e-6 * np.abs(exact).max()
    assert driver.error == ""
