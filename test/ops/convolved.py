"""ONNX's convolutions in float64: sizes by its formulas, and sums of nothing 0."""

import itertools

import numpy as np


def tell(attributes, name, default):
    """The value of an attribute, `default` along each dimension."""
    return attributes.get(name) or default


def get_pads(sizes, kernel, attributes):
    """Begins and ends of a convolution's padding."""
    spatial = len(sizes)
    strides = tell(attributes, "strides", [1] * spatial)
    dilations = tell(attributes, "dilations", [1] * spatial)
    auto = attributes.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        pads = tell(attributes, "pads", [0] * 2 * spatial)
        return pads[:spatial], pads[spatial:]
    if auto == "VALID":
        return [0] * spatial, [0] * spatial
    totals = [max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
              for n, k, s, d in zip(sizes, kernel, strides, dilations)]  # fmt: skip
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def convolve(x, w, bias=None, **attributes):
    """Conv; None where a window does not fit."""
    spatial, group = x.ndim - 2, attributes.get("group", 1)
    strides = tell(attributes, "strides", [1] * spatial)
    dilations = tell(attributes, "dilations", [1] * spatial)
    begins, ends = get_pads(x.shape[2:], w.shape[2:], attributes)
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *zip(begins, ends)])
    sizes = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], w.shape[2:], strides, dilations)]
    if min(sizes) < 0:
        return None
    y = np.zeros((x.shape[0], w.shape[0], *sizes))
    for tap in itertools.product(*map(range, w.shape[2:])):
        at = [np.arange(n) * s + t * d for n, s, t, d in zip(sizes, strides, tap, dilations)]
        seen = x[np.ix_(range(x.shape[0]), range(x.shape[1]), *at)]
        for part, a, c in zip(np.split(y, group, 1), np.split(seen, group, 1), np.split(w, group)):
            part += np.einsum("nc...,oc->no...", a, c[(..., *tap)].astype(np.float64))
    return y if bias is None else y + bias.reshape(-1, *[1] * spatial)


def convolve_transposed(x, w, bias=None, **attributes):
    """ConvTranspose; None for a result of negative size."""
    spatial, group = x.ndim - 2, attributes.get("group", 1)
    strides = tell(attributes, "strides", [1] * spatial)
    dilations = tell(attributes, "dilations", [1] * spatial)
    more = tell(attributes, "output_padding", [0] * spatial)
    auto, pads = attributes.get("auto_pad", "NOTSET"), tell(attributes, "pads", [0] * 2 * spatial)
    whole = [(n - 1) * s + (k - 1) * d + 1 + m
             for n, k, s, d, m in zip(x.shape[2:], w.shape[2:], strides, dilations, more)]  # fmt: skip
    if "output_shape" in attributes or auto.startswith("SAME"):
        sizes = attributes.get("output_shape", [n * s for n, s in zip(x.shape[2:], strides)])
        totals = [max(a - b, 0) for a, b in zip(whole, sizes)]
        begins = [t // 2 if auto == "SAME_UPPER" else t - t // 2 for t in totals]
    else:
        pads = [0] * 2 * spatial if auto == "VALID" else pads
        begins = pads[:spatial]
        sizes = [n - b - e for n, b, e in zip(whole, begins, pads[spatial:])]
    if min(sizes) < 0:
        return None
    y = np.zeros((x.shape[0], w.shape[1] * group, *sizes))
    places = itertools.product(*map(range, x.shape[2:]))
    for place, tap in itertools.product(places, list(itertools.product(*map(range, w.shape[2:])))):
        at = tuple(p * s + t * d - b for p, s, t, d, b in zip(place, strides, tap, dilations, begins))
        if not all(0 <= a < n for a, n in zip(at, sizes)):
            continue
        seen = x[(..., *place)].astype(np.float64)
        for part, a, c in zip(np.split(y, group, 1), np.split(seen, group, 1), np.split(w, group)):
            part[(..., *at)] += a @ c[(..., *tap)].astype(np.float64)
    return y if bias is None else y + bias.reshape(-1, *[1] * spatial)
