"""Runs networks and contractions on this machine's GPU and compares; a process of
its own, since that of the tests has another driver. Prints what it has done.

usage: on_device.py ARCH [PRECISION...]
"""

import sys

import numpy as np
import onnxruntime
import test_mma
import test_networks

import dlc


def compare(name, model, inputs, rtol, **options):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    network = dlc.compile(model, gpus=sys.argv[1], **options)
    names = [info.name for info in session.get_inputs()]
    wanted = session.run(None, dict(zip(names, inputs, strict=True)))
    for _ in range(3):  # at once, recorded as a graph, and by the graph
        for found, value in zip(network.run(list(inputs)), wanted, strict=True):
            error = np.abs(found - value).max() / np.abs(value).max()
            assert error <= rtol, f"{name}: {error}"
    print(name, options or "", flush=True)


def main():
    random = np.random.default_rng(7)
    image = random.standard_normal((1, 3, 224, 224), np.float32)
    squeezenet, bert = test_networks.make_squeezenet(), test_networks.make_bert()
    capability = int(sys.argv[1][3:].rstrip("a"))
    for precision, rtol, least in (("fp32", 1e-3, 70), ("fp16", 2e-2, 70), ("tf32", 2e-2, 80),
                                   ("bf16", 1e-1, 80)):  # fmt: skip
        if capability < least or (sys.argv[2:] and precision not in sys.argv[2:]):
            continue
        compare("squeezenet", squeezenet, [image], rtol, precision=precision)
        x = random.standard_normal((1, 24, 64), np.float32)
        compare("bert", bert, [x], rtol, precision=precision)
        for case in test_mma.make_cases():
            nodes, given, outputs, constants = case.nodes(0)
            graph = test_mma.helper.make_graph(nodes, "g", given, outputs, constants)
            model = test_mma.helper.make_model(
                graph, opset_imports=[test_mma.helper.make_opsetid("", 17)], ir_version=9
            )
            arrays = (case.a,) if case.constant else (case.a, case.b)
            found = dlc.compile(model, gpus=sys.argv[1], precision=precision).run(list(arrays))[0]
            error = np.abs(found - case.expected(precision)).max() / np.abs(found).max()
            assert error <= (2e-6 if precision == "fp32" else 1e-5), f"{case.name}: {error}"
            print(case.name, precision, flush=True)


if __name__ == "__main__":
    main()
