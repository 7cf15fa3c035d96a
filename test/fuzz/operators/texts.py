"""Strings."""

import numpy as np
from operators.table import makes


@makes("StringConcat")
def string_concat(b, op):
    x = b.tensor(object)
    shape = b.array(x).shape
    return b.node(op, [x, b.tensor(object, tuple(1 if b.chance(0.2) else s for s in shape), reuse=0.3)])


@makes("StringSplit")
def string_split(b, op):
    attributes = {"delimiter": b.choose([",", " ", ""])} if b.chance(0.6) else {}
    attributes |= {"maxsplit": b.integer(1, 2)} if b.chance(0.3) else {}
    return b.node(op, [b.tensor(object, fits=lambda array: array.size > 0)], 2, **attributes)


@makes("RegexFullMatch")
def regex(b, op):
    return b.node(op, [b.tensor(object)], pattern=b.choose(["[a-c]+", ".*", "a b.", "\\d+|x,y"]))


@makes("StringNormalizer")
def normalizer(b, op):
    # In the locale C ONNX Runtime knows the letters of ASCII only.
    x = b.tensor(object, (b.integer(1, 5),), reuse=0.3,
                 fits=lambda array: all(str(text).isascii() for text in array.flat))  # fmt: skip
    attributes = {"case_change_action": b.choose(["LOWER", "UPPER", "NONE"]), "locale": "C"}
    if b.chance(0.5):
        attributes |= {"stopwords": ["a", "12"], "is_case_sensitive": b.integer(0, 1)}
    return b.node(op, [x], **attributes)


@makes("TfIdfVectorizer")
def tf_idf(b, op):
    x = b.constant(b.random.integers(0, 6, (b.integer(1, 9),) if b.chance(0.5) else (2, b.integer(1, 7)))
                   .astype(b.choose([np.int32, np.int64])), 0.1)  # fmt: skip
    most = b.integer(1, 2)
    attributes = {
        "mode": b.choose(["TF", "IDF", "TFIDF"]), "min_gram_length": b.integer(1, most),
        "max_gram_length": most, "max_skip_count": b.integer(0, 2), "ngram_counts": [0, 3],
        "ngram_indexes": [0, 1, 2, 3, 4], "pool_int64s": [1, 2, 3, 1, 2, 4, 5],
    }  # fmt: skip
    if b.chance(0.5):
        attributes["weights"] = [0.5, 1.0, 2.0, 1.5, 3.0]
    return b.node(op, [x], **attributes)
