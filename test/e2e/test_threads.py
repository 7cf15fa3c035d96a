"""Runs on several threads: the bits are those of one thread, and the values
ONNX Runtime's, for each form of kernel, with static and dynamic sizes."""

import ctypes

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc
from dlc import library
from dlc.model import Call

RANDOM = np.random.default_rng(5)


def weights(*shape, dtype=np.float32):
    if np.dtype(dtype).kind in "iu":
        return RANDOM.integers(0, 100, shape).astype(dtype)
    return (RANDOM.standard_normal(shape) * 0.2).astype(dtype)


def make_model(nodes, inputs, constants=None, dtype=np.float32):
    """A model whose output is "y"; `inputs` are shapes by name."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [helper.make_node(op, ins, [out], **attributes) for op, ins, out, attributes in nodes],
        "threads",
        [helper.make_tensor_value_info(k, element, s) for k, s in inputs.items()],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def conv(image, weight, **attributes):
    return make_model(
        [("Conv", ["x", "w", "b"], "c", attributes), ("Relu", ["c"], "y", {})],
        {"x": image},
        {"w": weight, "b": weights(weight.shape[0])},
    )


def product(a, b, constant=True):
    inputs = {"x": a} if constant else {"x": a, "w": b}
    return make_model(
        [("MatMul", ["x", "w"], "y", {})], inputs, {"w": weights(*b)} if constant else {}
    )


ELEMENTWISE = [("Sigmoid", ["x"], "s", {}), ("Mul", ["x", "s"], "y", {})]
# Queries by transposed keys: both move along the summed dimension.
SCORES = [("Transpose", ["w"], "t", {"perm": [0, 2, 1]}), ("MatMul", ["x", "t"], "y", {})]
NORMALIZE = [("LayerNormalization", ["x", "scale"], "y", {})]

# name: (model, options of the compilation, sizes of the dynamic dimension)
CASES = {
    "conv": (conv((1, 32, 29, 31), weights(40, 32, 3, 3), pads=[1] * 4), {"conv": "direct"}, []),
    "conv-stride": (conv((2, 24, 33, 31), weights(72, 24, 5, 3), strides=[2, 3]), {}, []),
    "conv-1x1": (conv((1, 96, 27, 27), weights(130, 96, 1, 1)), {}, []),
    "conv-dynamic": (conv(("n", 24, 20, 21), weights(48, 24, 3, 3)), {"conv": "direct"}, [1, 3]),
    "winograd": (
        conv((1, 64, 27, 29), weights(72, 64, 3, 3), pads=[1] * 4), {"conv": "winograd"}, []
    ),
    "winograd-dynamic": (
        conv(("n", 32, 20, 20), weights(80, 32, 3, 3)), {"conv": "winograd"}, [1, 4]
    ),
    "winograd-map": (
        conv((2, 40, "n", "n"), weights(72, 40, 3, 3), pads=[1] * 4), {"conv": "winograd"},
        [1, 2, 5, 16, 43],
    ),
    "winograd-width": (
        conv((1, 96, 3, "n"), weights(130, 96, 3, 3), pads=[0, 1, 1, 0]), {"conv": "winograd"},
        [2, 7, 90],
    ),
    "winograd-all": (
        conv(("n", 33, "n", "n"), weights(70, 33, 5, 3), pads=[2, 1, 2, 1]),
        {"conv": "winograd"}, [1, 6, 13],
    ),
    "winograd-one-block": (
        conv((1, 96, 7, 7), weights(200, 96, 3, 3), pads=[1] * 4), {"conv": "winograd"}, []
    ),
    "fourier-one-block": (
        conv((1, 48, 35, 35), weights(64, 48, 5, 5), pads=[2] * 4), {"conv": "fft-16x16"}, []
    ),
    "depthwise": (conv((1, 72, 40, 41), weights(72, 1, 5, 5), group=72), {}, []),
    "depthwise-few-rows": (conv((1, 999, 7, 40), weights(999, 1, 3, 3), group=999), {}, []),
    "grouped": (conv((1, 48, 30, 30), weights(64, 12, 3, 3), group=4), {}, []),
    "gemm": (product((200, 257), (257, 190)), {}, []),
    "gemm-dynamic": (product(("n", 257), (257, 190)), {}, [1, 97, 500]),
    "gemv": (product((1, 1024), (1024, 700)), {}, []),
    "batched": (product((12, 60, 64), (12, 64, 70), constant=False), {}, []),
    "dots": (make_model(SCORES, {"x": (6, 50, 65), "w": (6, 90, 65)}), {}, []),
    "dots-dynamic": (make_model(SCORES, {"x": (6, "n", 65), "w": (6, 90, 65)}), {}, [1, 77]),
    "elementwise": (make_model(ELEMENTWISE, {"x": (100_003,)}), {}, []),
    "elementwise-dynamic": (make_model(ELEMENTWISE, {"x": ("n", 3, 101)}), {}, [0, 1, 450]),
    "softmax": (make_model([("Softmax", ["x"], "y", {})], {"x": (190, 333)}), {}, []),
    "softmax-dynamic": (make_model([("Softmax", ["x"], "y", {})], {"x": ("n", 333)}), {}, [0, 190]),
    "layer-norm": (
        make_model(NORMALIZE, {"x": (150, 300)}, {"scale": weights(300)}), {}, []
    ),
    "mean-of-columns": (
        make_model([("ReduceMean", ["x", "axes"], "y", {})], {"x": (300, 500)},
                   {"axes": np.array([0])}), {}, []
    ),
    "transpose": (
        make_model([("Transpose", ["x"], "y", {"perm": [2, 0, 1]})], {"x": (61, 62, 63)}), {}, []
    ),
    "pool": (
        make_model([("MaxPool", ["x"], "y", {"kernel_shape": [3, 3]})], {"x": (1, 40, 64, 64)}),
        {}, [],
    ),
    "double": (
        make_model([("MatMul", ["x", "w"], "y", {})], {"x": (90, 150)},
                   {"w": weights(150, 130, dtype=np.float64)}, np.float64), {}, []
    ),
    "integers": (
        make_model([("MatMulInteger", ["x", "w"], "y", {})], {"x": (190, 750)},
                   {"w": weights(750, 530, dtype=np.uint8)}, np.uint8), {}, []
    ),
}  # fmt: skip


def make_inputs(model, size):
    inputs = {}
    for info in model.inputs:
        shape = [n if isinstance(n, int) else size for n in info.shape]
        inputs[info.name] = weights(*shape, dtype=info.dtype)
    return inputs


def bits(outputs):
    return {name: (value.shape, value.tobytes()) for name, value in outputs.items()}


@pytest.mark.parametrize("name", CASES)
def test_results_do_not_depend_on_threads(name):
    proto, options, sizes = CASES[name]
    model = dlc.compile(proto, remarks="", **options)
    assert any("shared by threads" in str(remark) for remark in model.diagnostics)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    for size in sizes or [0]:
        inputs = make_inputs(model, size)
        one = model.run(inputs, threads=1)
        for threads in (2, 3, 7):
            assert bits(model.run(inputs, threads=threads)) == bits(one)
        (expected,) = session.run(None, inputs)
        scale = np.abs(expected).max(initial=1e-3)
        np.testing.assert_allclose(one["y"], expected, rtol=1e-4, atol=2e-5 * scale)


@pytest.mark.parametrize("name", ["conv-stride", "winograd", "depthwise", "gemm", "dots", "softmax"])
def test_models_without_threads(name):
    proto, options, _ = CASES[name]
    model = dlc.compile(proto, threads=1, remarks="", **options)
    assert not any("shared by threads" in str(remark) for remark in model.diagnostics)
    inputs = make_inputs(model, 0)
    (expected,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, inputs)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(model.run(inputs)["y"], expected, rtol=1e-4, atol=2e-5 * scale)


def call_with_parallel_for(model, inputs, threads, order):
    """Runs with a parallel_for of this program; the counts it was given."""
    counts = []
    body_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32)

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, body_type, ctypes.c_void_p, ctypes.c_int32)
    def parallel_for(context, body, data, count):
        counts.append(count)
        for index in order(range(count)):
            body(data, index)

    call = Call(model, inputs, threads=threads)
    call._options.parallel_for = ctypes.cast(parallel_for, ctypes.c_void_p)
    call()
    return counts, call.take()


@pytest.mark.parametrize("order", [list, reversed], ids=["in-order", "reversed"])
@pytest.mark.parametrize("name", ["winograd", "gemm", "softmax"])
def test_programs_own_threads(name, order):
    proto, options, _ = CASES[name]
    model = dlc.compile(proto, **options)
    inputs = make_inputs(model, 0)
    (one,) = model.run(list(inputs.values()), threads=1)
    counts, (result,) = call_with_parallel_for(model, list(inputs.values()), 3, order)
    assert counts and set(counts) <= {2, 3}
    assert result.tobytes() == one.tobytes()
    counts, _ = call_with_parallel_for(model, list(inputs.values()), 1, order)
    assert not counts


def test_number_of_threads_of_the_compilation():
    proto, options, _ = CASES["gemm"]
    inputs = make_inputs(dlc.compile(proto, threads=1), 0)
    values = list(inputs.values())
    for threads, expected in ((5, {5}), (1, set())):
        model = dlc.compile(proto, threads=threads, **options)
        counts, _ = call_with_parallel_for(model, values, None, list)
        assert set(counts) == expected


def test_wrong_numbers_of_threads():
    proto, _, _ = CASES["gemm"]
    with pytest.raises(ValueError, match="expected at least 1 thread, found 0"):
        dlc.compile(proto, threads=0)
    with pytest.raises(dlc.CompileError, match="expected 0 to 256 threads, found 1000"):
        dlc.compile(proto, threads=1000)
    model = dlc.compile(proto)
    inputs = make_inputs(model, 0)
    with pytest.raises(ValueError, match="expected at least 1 thread, found -1"):
        model.run(inputs, threads=-1)
    # Far more than there can be: as many as can.
    assert bits(model.run(inputs, threads=10**12)) == bits(model.run(inputs, threads=1))


def test_threads_round_as_the_caller_does():
    """Denormal numbers: kept, or zero where the caller's thread says so."""
    model = dlc.compile(make_model([("Add", ["x", "x"], "y", {})], {"x": (200_000,)}))
    if not model.target.startswith("x86_64"):
        pytest.skip("sets a register of x86-64")
    code = b"\xf3\x0f\x1e\xfa\x0f\xae\x17\xc3"  # endbr64; ldmxcsr (%rdi); ret
    page = mmap_code(code)
    set_mxcsr = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(page)
    x = np.full(200_000, 1e-40, np.float32)
    assert (model.run([x], threads=3)[0] > 0).all()
    mode = ctypes.c_uint32(0x9FC0)  # flush to zero, denormals are zero
    call = Call(model, [x], threads=3)
    set_mxcsr(ctypes.addressof(mode))
    try:
        call()
    finally:
        mode.value = 0x1F80
        set_mxcsr(ctypes.addressof(mode))
    assert (call.take()[0] == 0).all()


def mmap_code(code):
    import mmap

    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    mmap_code.keep = memory
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def test_options_of_before_there_were_threads():
    proto, _, _ = CASES["gemm"]
    model = dlc.compile(proto)
    inputs = make_inputs(model, 0)
    call = Call(model, list(inputs.values()))
    call._options.size = library.RunOptions.threads.offset
    call._options.threads = -1  # not there for the run
    call()
    (one,) = model.run(list(inputs.values()), threads=1)
    assert call.take()[0].tobytes() == one.tobytes()
