"""Compiles and runs an example in dlc and says what is wrong with it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import onnx
import reference
from builder import Discard
from generate import Example

import dlc
from dlc import verify

PASS, REFUSED, COMPILE, RUN, WRONG, CRASH, NONE = (
    "pass", "refused", "compile error", "run error", "wrong answer", "crash", "no model",
)  # fmt: skip
FAILURES = (COMPILE, RUN, WRONG, CRASH)

# Errors that say what dlc asks of a model with dynamic sizes: refusals, too.
REFUSALS = re.compile(
    "expected axes, a static shape or a result of known rank"
    "|expected axes of a static number, or a result of known rank"
    "|expected a shape of static length"
    "|expected no sequence_lens"
    "|ONNX cannot convert version"
)

# As dlc.verify's; ONNX Runtime computes in float32 what is float16.
NOISE = {"float64": 2**-42, "float32": 2**-20, "float16": 2**-9, "bfloat16": 2**-6}


@dataclasses.dataclass(frozen=True)
class Outcome:
    kind: str
    reason: str = ""
    text: str = ""
    operators: str = ""

    @property
    def is_failure(self) -> bool:
        return self.kind in FAILURES


def check(example: Example, opt_level: int = 1, **options: Any) -> Outcome:
    operators = " ".join(f"{n.op_type}" for n in example.model.graph.node)
    try:
        compiled = dlc.compile(example.model, opt_level=opt_level, **options)
    except dlc.UnsupportedError as error:
        return Outcome(REFUSED, generalize(first_error(error)), str(error), operators)
    except dlc.CompileError as error:
        kind = REFUSED if REFUSALS.search(str(error)) else COMPILE
        return Outcome(kind, generalize(first_error(error)), str(error), operators)
    try:
        found = compiled.run(example.feeds)
    except dlc.RunError as error:
        return Outcome(RUN, f"status {error.status}: {generalize(error.message)}", str(error), operators)
    except Exception as error:  # of the Python package
        return Outcome(RUN, generalize(f"{type(error).__name__}: {error}"), str(error), operators)
    problems = list(find_differences(example, found))
    if problems:
        return Outcome(WRONG, generalize(problems[0]), "\n".join(problems), operators)
    return Outcome(PASS, operators=operators)


def find_differences(example: Example, found: dict[str, Any]) -> Any:
    noisy: dict[str, Any] | None = None
    for name, wanted in example.expected.items():
        problem = differ(found[name], wanted)
        if problem and (name in example.inexact or noisy is None) and is_float(wanted):
            # Does the reference itself change so much with the last bits of
            # its inputs?
            if noisy is None:
                noisy = run_with_noise(example)
            if noisy and not differ(found[name], wanted, noisy.get(name)):
                continue
        if problem:
            yield f"{name}: {problem}"


def is_float(value: Any) -> bool:
    if isinstance(value, list):
        return all(is_float(item) for item in value)
    return value.dtype.kind in "fc" or value.dtype.name in NOISE


def differ(value: Any, wanted: Any, noisy: Any = None) -> str:
    if isinstance(wanted, list):
        if not isinstance(value, list) or len(value) != len(wanted):
            return f"expected a list of {len(wanted)}"
        others = noisy or [None] * len(wanted)
        return next(filter(None, map(differ, value, wanted, others)), "")
    if wanted.dtype.kind in "US":
        wanted = wanted.astype(object)
    if wanted.dtype == object:
        value = np.asarray(value, object)
    _, excess, problem = verify.compare(value, wanted)
    if problem or excess <= 1:
        return problem
    if noisy is not None and noisy.shape == wanted.shape:
        wide = np.complex128 if wanted.dtype.kind == "c" else np.float64
        a, b, c = (x.astype(wide) for x in (value, wanted, noisy))
        rtol, atol = verify.TOLERANCES.get(wanted.dtype.name, (0.0, 0.0))
        with np.errstate(all="ignore"):
            fine = np.abs(a - b) <= atol + rtol * np.abs(b) + 16 * np.abs(c - b)
            fine |= (np.isnan(a) & np.isnan(b)) | (a == b) | ~np.isfinite(c) | ~np.isfinite(b)
        if fine.all():
            return ""
    if not value.size:
        return f"wrong by {excess:.2g} of the tolerance"
    with np.errstate(all="ignore"):
        same = (value == wanted) | ((value != value) & (wanted != wanted))
        wrong = np.argwhere(~same)
        first = tuple(wrong[0]) if len(wrong) else ()
    return (f"{len(wrong)} of {value.size} {wanted.dtype} differ, by {excess:.2g} of the tolerance; at {first} "
            f"{value[first]}, expected {wanted[first]}")  # fmt: skip


def run_with_noise(example: Example) -> dict[str, Any]:
    random = np.random.default_rng(0)

    def disturb(array: Any) -> Any:
        if isinstance(array, list):
            return [disturb(item) for item in array]
        noise = NOISE.get(array.dtype.name)
        if noise is None:
            return array
        return (array * (1 + noise * random.choice([-1, 1], array.shape))).astype(array.dtype)

    model = onnx.ModelProto()
    model.CopyFrom(example.model)
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype.name in NOISE:
            tensor.CopyFrom(onnx.numpy_helper.from_array(disturb(array), tensor.name))
    feeds = {name: disturb(array) for name, array in example.feeds.items()}
    try:
        results = reference.run_model(model, feeds)
    except (reference.NoReference, Discard):
        return {}
    return dict(zip([o.name for o in model.graph.output], results))


def first_error(error: dlc.CompileError) -> str:
    return next((d.text for d in error.diagnostics if d.severity == "error"), str(error))


def generalize(message: str) -> str:
    """A message without what differs from model to model."""
    message = next((line for line in message.splitlines() if line.strip()), "")
    message = re.sub(r"^.*?error: ", "", message)
    message = re.sub(r"node '\w*' ", "", message)
    message = re.sub(r"\bv\d+\S*", "V", message)
    message = re.sub(r"(tensor|memref|vector|!\w+\.\w+)<[^ ]*>", r"\1", message)
    return re.sub(r"-?\d+(\.\d+)?(e[-+]?\d+)?", "N", message)[:200]
