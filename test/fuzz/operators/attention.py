"""Attention and what stands around it."""

import numpy as np
from operators.table import makes


@makes("Attention")
def attention(b, op):
    dtype = b.dtype(op, "T1", among=[np.float32, np.float16])
    n, heads, groups = b.integer(1, 2), b.integer(1, 2), b.integer(1, 2)
    q, kv, head, value = b.integer(1, 5), b.integer(1, 5), b.choose([2, 4, 8]), b.choose([2, 4, 8])
    flat = b.chance(0.4)
    attributes = {}

    def shape(count, length, width):
        return (n, length, count * width) if flat else (n, count, length, width)

    if flat:
        attributes |= {"q_num_heads": heads * groups, "kv_num_heads": heads}
    if b.chance(0.3):
        attributes["scale"] = 0.25
    if b.chance(0.3):
        attributes["is_causal"] = 1
    if b.chance(0.2):
        attributes["softcap"] = 2.0
    inputs = [
        b.fresh(dtype, shape(heads * groups, q, head), low=-1, high=1),
        b.fresh(dtype, shape(heads, kv, head), low=-1, high=1),
        b.fresh(dtype, shape(heads, kv, value), low=-1, high=1),
    ]
    past = b.integer(1, 3) if b.chance(0.3) else 0
    if b.chance(0.4):
        total = kv + past
        lead = b.choose([(), (1, 1), (n, 1), (n, heads * groups)])
        kind = b.choose([bool, dtype])
        mask = b.random_array(kind, (*lead, q, total))
        if kind is bool:
            mask[..., 0] = True
        inputs.append(b.add(mask, "input", exact=False))
    else:
        inputs.append("")
    outputs = 1
    if past:
        inputs += [b.fresh(dtype, (n, heads, past, w), low=-1, high=1) for w in (head, value)]
        outputs = 3
    return b.node(op, inputs, outputs, **attributes)


@makes("RotaryEmbedding")
def rotary(b, op):
    dtype = b.dtype(op, among=[np.float32, np.float16])
    n, heads, length, head = b.integer(1, 2), b.integer(1, 3), b.integer(1, 5), b.choose([4, 8])
    flat = b.chance(0.4)
    attributes = {"num_heads": heads} if flat else {}
    part = head
    if b.chance(0.3):
        attributes["rotary_embedding_dim"] = part = head // 2
    if b.chance(0.4):
        attributes["interleaved"] = 1
    x = b.fresh(dtype, (n, length, heads * head) if flat else (n, heads, length, head))
    if b.chance(0.5):
        caches = [b.fresh(dtype, (9, part // 2), low=-1, high=1) for _ in range(2)]
        ids = b.constant(b.random.integers(0, 9, (n, length)), 0.2)
        return b.node(op, [x, *caches, ids], **attributes)
    caches = [b.fresh(dtype, (n, length, part // 2), low=-1, high=1) for _ in range(2)]
    return b.node(op, [x, *caches], **attributes)


@makes("LinearAttention")
def linear_attention(b, op):
    n, heads, length, width = b.integer(1, 2), b.integer(1, 2), b.integer(1, 4), b.choose([2, 4])
    rule = b.choose(["linear", "gated", "delta", "gated_delta"])
    shape = (n, length, heads * width)
    inputs = [b.fresh(np.float32, shape, low=-1, high=1) for _ in range(3)]
    if rule != "linear" or b.chance(0.4):
        inputs.append(b.fresh(np.float32, (n, heads, width, width), low=-1, high=1) if b.chance(0.5) else "")
    if "gated" in rule:
        inputs.append(b.fresh(np.float32, (n, length, heads * width), low=-1, high=0))
    elif rule == "delta":
        inputs.append("")
    if "delta" in rule:
        inputs.append(b.fresh(np.float32, (n, length, heads), low=0, high=1))
    return b.node(op, inputs, 2, update_rule=rule, q_num_heads=heads, kv_num_heads=heads)


@makes("SwiGLU")
def swiglu(b, op):
    dtype = b.dtype(op)
    x = b.tensor(dtype)
    attributes = {"alpha": 1.5} if b.chance(0.4) else {}
    return b.node(op, [x, b.tensor(dtype, b.array(x).shape, reuse=0.3)], **attributes)
