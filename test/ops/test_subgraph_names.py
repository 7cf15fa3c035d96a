"""Names inside of a subgraph are its own: they may be those of values that the
graph around it makes, before or after."""

import dlc
import numpy as np
import onnxruntime
import onnx.parser
import pytest

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    "body",
    [
        # The branches name their results as the If does.
        """y = If <then_branch = t () => (float[2,3] y) { y = Neg (x) },
                  else_branch = e () => (float[2,3] y) { y = Exp (x) }> (c)""",
        # ... as a later node does, whose value depends on the If.
        """z = If <then_branch = t () => (float[2,3] p) { y = Neg (x) p = Abs (y) },
                  else_branch = e () => (float[2,3] y) { y = Exp (x) }> (c)
           y = Add (z, x)""",
        # The body's input and a value in it have names of outer results.
        """n = Constant <value_int = 3> ()
           y = Loop <body = b (int64 i, bool go, float[2,3] y) => (bool go, float[2,3] z)
                     { z = Add (y, x) }> (n, c, x)
           z = Neg (y)""",
        # What the subgraph does not define is the outer value, sorted or not.
        """y = If <then_branch = t () => (float[2,3] p) { p = Neg (z) },
                  else_branch = e () => (float[2,3] q) { q = Exp (x) }> (c)
           z = Tanh (x)""",
    ],
)  # fmt: skip
@pytest.mark.parametrize("condition", [True, False])
def test_names_of_subgraphs_are_their_own(body, condition):
    text = f"""<ir_version: 10, opset_import: ["": 21]>
      g (float[2,3] x, bool c) => (float[2,3] y) {{ {body} }}"""
    model = onnx.parser.parse_model(text)
    feeds = {"x": X, "c": np.array(condition)}
    found = dlc.compile(model, opt_level=1).run(feeds)["y"]
    # ONNX Runtime wants nodes in order.
    nodes = list(model.graph.node)
    if nodes[-1].op_type == "Tanh":
        del model.graph.node[:]
        model.graph.node.extend(nodes[::-1])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_allclose(found, session.run(["y"], feeds)[0], rtol=1e-6)
