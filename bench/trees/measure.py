"""Times ensembles of decision trees against ONNX Runtime, in turns.

usage: PYTHONPATH=python build/venv/bin/python bench/trees/measure.py [--repeats N] [--threads 1,2]

A random forest of 100 trees of depth 8 and a gradient boosting of 200 trees of
depth 5, classifiers and regressors, of 30 features, trained here. For each
batch and number of threads the least time of both, and the largest difference
of the scores.
"""

import argparse
import time

import dlc
import numpy as np
import onnxruntime
from dlc.model import Call
from skl2onnx import to_onnx
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

FEATURES = 30
BATCHES = (1, 100, 10000)


def models():
    """Each trained model by its name."""
    x, y = make_classification(4000, FEATURES, n_informative=12, n_classes=3, random_state=0)
    two = (y == 1).astype(int)
    x2, target = make_regression(4000, FEATURES, n_informative=12, noise=5, random_state=0)
    forest = {"n_estimators": 100, "max_depth": 8, "random_state": 0, "n_jobs": 2}
    boosting = {"n_estimators": 200, "max_depth": 5, "random_state": 0, "subsample": 0.3}
    x, x2 = x.astype(np.float32), x2.astype(np.float32)
    yield "forest, 3 classes", RandomForestClassifier(**forest).fit(x, y), x
    yield "forest, regression", RandomForestRegressor(**forest).fit(x2, target), x2
    yield "boosting, 2 classes", GradientBoostingClassifier(**boosting).fit(x, two), x
    yield "boosting, regression", GradientBoostingRegressor(**boosting).fit(x2, target), x2


def in_turns(calls, repeats, seconds=1.0):
    """The least time of each of the calls, which take turns."""
    least = [float("inf")] * len(calls)
    end = time.perf_counter() + seconds
    done = 0
    while done < repeats or time.perf_counter() < end:
        for i, call in enumerate(calls):
            begin = time.perf_counter()
            call()
            least[i] = min(least[i], time.perf_counter() - begin)
        done += 1
    return least


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", default="1,2")
    options = parser.parse_args()
    print("| ensemble | rows | threads | dlc, us | ONNX Runtime, us | ratio | difference |")
    print("|---|---|---|---|---|---|---|")
    for name, trained, x in models():
        switches = {"zipmap": False} if hasattr(trained, "classes_") else None
        onnx_model = to_onnx(trained, x[:1], options={id(trained): switches} if switches else None)
        compiled = dlc.compile(onnx_model)
        rng = np.random.default_rng(1)
        for batch in BATCHES:
            rows = x[rng.integers(0, len(x), batch)]
            for threads in map(int, options.threads.split(",")):
                settings = onnxruntime.SessionOptions()
                settings.intra_op_num_threads = threads
                session = onnxruntime.InferenceSession(onnx_model.SerializeToString(), settings)
                # Bound once each, so that neither pays for its Python interface.
                binding = session.io_binding()
                binding.bind_cpu_input("X", rows)
                for value in session.get_outputs():
                    binding.bind_output(value.name)
                call = Call(compiled, [rows], keep_workspace=True, threads=threads)
                ours, theirs = in_turns(
                    [call, lambda: session.run_with_iobinding(binding)], options.repeats
                )
                found = call.take()[-1]
                expected = binding.copy_outputs_to_cpu()[-1]
                difference = np.abs(found.reshape(expected.shape) - expected).max()
                print(f"| {name} | {batch} | {threads} | {ours * 1e6:.1f} | {theirs * 1e6:.1f} | "
                      f"{theirs / ours:.2f} | {difference:.1e} |", flush=True)


if __name__ == "__main__":
    main()
