"""Pools, and samples of images."""

import numpy as np
from builder import Discard
from operators.contractions import window
from operators.table import makes


@makes("MaxPool", "AveragePool", "LpPool")
def pool(b, op):
    version = b.version(op)
    dilate = version >= {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[op]
    sizes, kernel, attributes = window(b, b.choose([1, 2, 2, 3]), dilate)
    attributes["kernel_shape"] = kernel
    if version >= {"MaxPool": 10, "AveragePool": 10, "LpPool": 18}[op] and "auto_pad" not in attributes:
        attributes |= {"ceil_mode": b.integer(0, 1)} if b.chance(0.4) else {}
    outputs = 1
    if op == "MaxPool" and version >= 8:
        outputs = b.choose([1, 1, 2])
        if outputs == 2 and b.chance(0.3):
            attributes["storage_order"] = 1
    elif op == "AveragePool" and version >= 7:
        attributes |= {"count_include_pad": b.integer(0, 1)} if b.chance(0.4) else {}
    elif op == "LpPool":
        attributes["p"] = b.integer(1, 3)
    shape = (b.integer(1, 2), b.choose([1, 2, 3, 8]), *sizes)
    x = b.tensor(b.dtype(op), shape, reuse=0.3, fine=outputs == 2)
    return b.node(op, [x], outputs, **attributes)


@makes("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(b, op):
    shape = (b.integer(1, 2), b.integer(1, 9), *(b.integer(1, 6) for _ in range(b.integer(1, 3))))
    attributes = {"p": b.integer(1, 3)} if op == "GlobalLpPool" else {}
    return b.node(op, [b.tensor(b.dtype(op), shape, reuse=0.3)], **attributes)


@makes("MaxUnpool")
def max_unpool(b, op):
    sizes, kernel, attributes = window(b, 2, dilate=False)
    for name in ("auto_pad", "pads"):
        attributes.pop(name, None)
    attributes["strides"] = kernel
    shape = (b.integer(1, 2), b.integer(1, 3), *(k * b.integer(1, 3) for k in kernel))
    x = b.random.permutation(int(np.prod(shape))).reshape(shape).astype(np.float32)
    pooled, index = b.node("MaxPool", [b.add(x, "input")], 2, kernel_shape=kernel, strides=kernel)
    return b.node(op, [pooled, index], kernel_shape=kernel, strides=kernel)


@makes("MaxRoiPool")
def max_roi_pool(b, op):
    h, w, n, count = b.integer(3, 9), b.integer(3, 9), b.integer(1, 2), b.integer(1, 3)
    x = b.tensor(np.float32, (n, b.integer(1, 3), h, w), reuse=0.2)
    rois = [[b.integer(0, n - 1), b.integer(0, w // 2), b.integer(0, h // 2), w - 1, h - 1] for _ in range(count)]
    return b.node(op, [x, b.constant(np.array(rois, np.float32), 0.2)], pooled_shape=[b.integer(1, 3), b.integer(1, 3)])


@makes("RoiAlign")
def roi_align(b, op):
    h, w, n, count = b.integer(3, 9), b.integer(3, 9), b.integer(1, 2), b.integer(1, 3)
    x = b.tensor(np.float32, (n, b.integer(1, 3), h, w), reuse=0.2)
    rois = [[b.real(0, w / 2), b.real(0, h / 2), b.real(w / 2 + 1, w), b.real(h / 2 + 1, h)] for _ in range(count)]
    batch = b.constant(b.random.integers(0, n, count), 0.2)
    attributes = {"output_height": b.integer(1, 3), "output_width": b.integer(1, 3),
                  "sampling_ratio": b.integer(0, 2)}  # fmt: skip
    if b.chance(0.3):
        attributes["mode"] = "avg"
    if b.version(op) >= 16 and b.chance(0.6):
        attributes["coordinate_transformation_mode"] = b.choose(["half_pixel", "output_half_pixel"])
    return b.node(op, [x, b.constant(np.array(rois, np.float32), 0.2), batch], **attributes)


@makes("Col2Im")
def col2im(b, op):
    kernel = [b.integer(1, 3), b.integer(1, 3)]
    image = [k + b.integer(0, 4) for k in kernel]
    blocks = np.prod([i - k + 1 for i, k in zip(image, kernel)])
    x = b.tensor(b.dtype(op, among=[np.float32, np.float64]),
                 (b.integer(1, 2), b.integer(1, 3) * kernel[0] * kernel[1], int(blocks)), reuse=0.2)  # fmt: skip
    return b.node(op, [x, b.ints(*image, chance=1), b.ints(*kernel, chance=1)])


@makes("GridSample")
def grid_sample(b, op):
    version = b.version(op)
    spatial = 2 if version < 20 or b.chance(0.7) else 3
    modes = ["bilinear", "nearest", "bicubic"] if version < 20 else ["linear", "nearest", "cubic"]
    mode = b.choose(modes[:2] if spatial == 3 else modes)
    n = b.integer(1, 2)
    x = b.tensor(np.float32, (n, b.integer(1, 3), *(b.integer(1, 5) for _ in range(spatial))), reuse=0.2)
    # Not near the places where the nearest one changes.
    grid = b.random.uniform(-1.2, 1.2, (n, *(b.integer(1, 4) for _ in range(spatial)), spatial))
    attributes = {"mode": mode} if b.chance(0.8) else {}
    attributes |= {"padding_mode": b.choose(["zeros", "border", "reflection"])} if b.chance(0.7) else {}
    attributes |= {"align_corners": b.integer(0, 1)} if b.chance(0.6) else {}
    return b.node(op, [x, b.constant(grid.astype(np.float32), 0.2)], **attributes)


@makes("AffineGrid")
def affine_grid(b, op):
    spatial = b.choose([2, 3])
    n = b.integer(1, 2)
    theta = b.fresh(np.float32, (n, spatial, spatial + 1), low=-1, high=1)
    size = b.ints(n, b.integer(1, 3), *(b.integer(2, 4) for _ in range(spatial)))
    if 0 in b.array(theta).shape:
        raise Discard("empty")
    return b.node(op, [theta, size], **({"align_corners": b.integer(0, 1)} if b.chance(0.6) else {}))
