"""Contraction kernels against float64 numpy over odd sizes, layouts and types,
static and dynamic, for three vector units."""

import ctypes
import itertools
import mmap
import pathlib
import re
import subprocess

import ml_dtypes
import numpy as np
import pytest

UNITS = {
    "avx512": ("vector-bytes=64 registers=32", "x86-64-v4", "avx512bw"),
    "avx512 vnni": ("vector-bytes=64 registers=32 dot=vnni dot-bytes=64", "znver4",
                    "avx512_vnni"),
    "avx512 madd": ("vector-bytes=64 registers=32 dot=madd dot-bytes=64", "x86-64-v4",
                    "avx512bw"),
    "avx2": ("vector-bytes=32 registers=16", "x86-64-v3", "avx2"),
    "avx2 madd": ("vector-bytes=32 registers=16 dot=madd dot-bytes=32", "x86-64-v3", "avx2"),
    "amx": ("vector-bytes=64 registers=32 dot=amx dot-bytes=64 pairs=tdpbf16ps", "sapphirerapids", "amx_tile"),
    # With blocks of rows.
    "amx, small L2": ("vector-bytes=64 registers=32 dot=amx dot-bytes=64 pairs=tdpbf16ps l2-bytes=32768",
                      "sapphirerapids", "amx_tile"),
    # 128-bit vectors without masks: what NEON and SSE get.
    "narrow": ("vector-bytes=16 registers=32", "x86-64-v3", "avx2"),
    "narrow madd": ("vector-bytes=16 registers=32 dot=madd dot-bytes=16", "x86-64-v3", "avx2"),
}
NUMPY = {"bf16": ml_dtypes.bfloat16, "f16": np.float16, "f32": np.float32, "f64": np.float64,
         "i8": np.int8, "i32": np.int32}
TOLERANCE = {"f32": 1e-5, "f64": 1e-13, "i32": 0}


class Case:
    """A contraction: `maps` of a, b, an optional extra that is added, and c;
    each is a list of expressions in the dimensions of `sizes`. `dot` is the
    attribute of that name with the extent of the grouped dimension. `outside`
    has the sizes of those dimensions of a whose indices may lie outside."""

    def __init__(self, name, maps, types=("f32", "f32", "f32"), unsigned="",
                 dynamic=False, flip=False, group=None, rows=(), outside={}, **sizes):
        self.maps = [m.split(", ") for m in maps.split(" | ")]
        self.name, self.sizes, self.dynamic = name, sizes, dynamic
        self.unsigned, self.flip, self.group = unsigned, flip, group
        self.outside = outside
        self.rows = rows  # dimensions whose sizes are not known, nor those of a and c along them
        self.types = [types[0], types[1]] + [types[2]] * (len(self.maps) - 2)
        self.dims = list(sizes)

    def __repr__(self):
        text = ",".join(f"{k}={v}" for k, v in self.sizes.items())
        return f"{self.name}({text}{', dynamic' if self.dynamic else ''})"

    def index(self, number, values):
        return tuple(np.broadcast_to(eval(e, {}, values), np.shape(values[self.dims[0]]))
                     for e in self.maps[number])

    def shape(self, number):
        last = {d: n - 1 for d, n in self.sizes.items()}
        # The position in a panel or group takes all values, whatever the last one's.
        sizes = [int(e.split("%")[1]) if "%" in e else eval(e, {}, last) + 1
                 for e in self.maps[number]]
        for dim, size in self.outside.items() if number == 0 else ():
            sizes[dim] = size
        return tuple(sizes)

    def grid(self, dims):
        values = np.indices([self.sizes[d] for d in dims]).reshape(len(dims), -1)
        return dict(zip(dims, values))

    def text(self, function):
        types = []
        for i, t in enumerate(self.types):
            dims = ["?" if self.dynamic or set(re.findall(r"\w+", e)) & set(self.rows) else str(n)
                    for e, n in zip(self.maps[i], self.shape(i))]
            types.append("memref<%s>" % "x".join(dims + [t]))
        c = len(types) - 1
        head = ", ".join(f"%{i}: {t}" for i, t in enumerate(types))
        maps = ", ".join("affine_map<(%s) -> (%s)>" % (", ".join(self.dims), ", ".join(m))
                         for m in self.maps).replace("//", "floordiv").replace("%", "mod")
        t = self.types[-1]
        if c == 3:
            op = "addi" if t.startswith("i") else "addf"
            extras, args = f" extras %2 : {types[2]}", f"%s: {t}, %e: {t}"
            body = f"%r = arith.{op} %s, %e : {t}\n dlc.yield %r : {t}"
        else:
            extras, args, body = "", f"%s: {t}", f"dlc.yield %s : {t}"
        flags = [f"{x}Unsigned" for x in self.unsigned]
        if self.group:
            width = 2 if self.types[0] == "bf16" else 4
            flags.append(f"dot = #dlc.dot<flip = {str(self.flip).lower()}, group = {width}, "
                         f"extent = {self.sizes[self.group]}>")
        if self.outside:
            flags.append(f"zeroOutside = array<i64: {', '.join(map(str, self.outside))}>")
        flags = " {" + ", ".join(flags) + "}" if flags else ""
        return f"""func.func @{function}({head}) attributes {{llvm.emit_c_interface}} {{
 dlc.contract %0, %1{extras} outs %{c} [{maps}]{flags} : {types[0]}, {types[1]}, {types[c]} {{
 ^bb0({args}):
 {body}
 }}
 return
}}
"""

    def arrays(self, random):
        result = []
        for i, t in enumerate(self.types):
            shape = self.shape(i)
            if t.startswith("i"):
                result.append(random.integers(-100, 100, shape).astype(NUMPY[t]))
            else:
                result.append(random.standard_normal(shape).astype(NUMPY[t]))
        result[-1].fill(99)  # what stands in the result must not matter
        if self.group:
            # Groups are filled with zeros, and so are panels.
            used = np.zeros(result[1].shape, bool)
            used[self.index(1, self.grid(self.dims))] = True
            result[1][~used] = 0
        return result

    def expected(self, arrays):
        result = np.zeros(arrays[-1].shape)
        values = self.grid(self.dims)
        wide = [a.view(np.uint8) if x in self.unsigned else a
                for x, a in zip("ab", arrays)]
        if self.flip:
            wide[0] = wide[0] ^ np.array(128).astype(wide[0].dtype)
        index = list(self.index(0, values))
        inside = np.ones(np.shape(index[0]), bool)
        for dim, size in self.outside.items():
            inside &= (index[dim] >= 0) & (index[dim] < size)
            index[dim] = np.clip(index[dim], 0, size - 1)
        products = (np.where(inside, wide[0][tuple(index)].astype(np.float64), 0)
                    * wide[1][self.index(1, values)])
        np.add.at(result, self.index(len(self.maps) - 1, values), products)
        if len(self.maps) == 4:
            kept = [d for d in self.dims if d in self.maps[-1]]
            dims, self.dims = self.dims, kept
            values = self.grid(kept)
            result[self.index(3, values)] += arrays[2][self.index(2, values)]
            self.dims = dims
        return result


def cases():
    product = "m, k | k, n | n | m, n"
    for m, n, k in [(1, 1, 1), (6, 64, 8), (7, 65, 9), (1, 100, 33), (13, 7, 5),
                    (29, 130, 3), (3, 24, 20),
                    (5, 5, 0), (0, 5, 5), (5, 0, 4)]:
        for dynamic in (False, True):
            sizes = dict(m=m, n=n, k=k, dynamic=dynamic)
            yield Case("product", product, **sizes)
            yield Case("b transposed", "m, k | n, k | n | m, n", **sizes)
    for (m, n, k), dynamic in [((5, 19, 7), True), ((4, 4, 64), False)]:
        sizes = dict(m=m, n=n, k=k, dynamic=dynamic)
        yield Case("a transposed", "k, m | k, n | n | m, n", **sizes)
        yield Case("both transposed", "k, m | n, k | m, n", **sizes)
        yield Case("c transposed", "m, k | k, n | m | n, m", **sizes)
        yield Case("c from b transposed", "m, k | n, k | n, m", **sizes)
        yield Case("batch", "b, m, k | b, k, n | b, m, n", b=3, **sizes)
        yield Case("broadcast b", "b, h, m, k | h, k, n | b, h, m, n", b=2, h=3, **sizes)
        yield Case("scores", "b, m, h, k | b, n, h, k | b, h, m, n", b=2, h=3, **sizes)
        yield Case("mix", "b, h, m, k | b, k, h, n | b, m, h, n", b=2, h=3, **sizes)
        yield Case("doubles", product, types=("f64", "f64", "f64"), **sizes)
        yield Case("halves", "m, k | k, n | m, n", types=("f16", "f16", "f32"), **sizes)
        yield Case("bytes", product, types=("i8", "i8", "i32"), **sizes)
        yield Case("unsigned a", product, types=("i8", "i8", "i32"), unsigned="a", **sizes)
        yield Case("unsigned b", product, types=("i8", "i8", "i32"), unsigned="b", **sizes)
        yield Case("bytes transposed", "m, k | n, k | m, n", types=("i8", "i8", "i32"), **sizes)
        yield Case("two sums", "m, k, l | l, k, n | m, n", l=4, **sizes)
    yield Case("panels", "m, k | n // 64, k, n % 64 | n | m, n", m=13, n=130, k=9)
    yield Case("narrow panels", "m, k | n // 48, k, n % 48 | n | m, n", m=13, n=144, k=9)

    conv = "n, h*{s}+i*{d}, w*{s}+j*{d}, c | i, j, c, m | m | n, h, w, m"
    group = "n, h*{s}+i*{d}, w*{s}+j*{d}, g*{c}+c | i, j, c, g, m | g, m | n, h, w, g, m"
    for h, w, c, k, m, s, d in [(5, 5, 3, 3, 8, 1, 1), (7, 9, 4, 3, 20, 1, 1),
                                (7, 7, 3, 7, 64, 2, 1), (6, 5, 16, 3, 17, 1, 2),
                                (4, 4, 5, 1, 33, 1, 1), (3, 3, 5, 1, 7, 2, 1)]:
        sizes = dict(h=h, w=w, c=c, m=m, i=k, j=k)
        yield Case("conv", conv.format(s=s, d=d), n=2, **sizes)
        yield Case("group conv", group.format(s=s, d=d, c=c), n=1, g=3, **sizes)
    for s, d in [(1, 1), (2, 1), (1, 2)]:
        sizes = dict(h=5, w=6, c=3, m=21, i=3, j=3, dynamic=True)
        yield Case("conv", conv.format(s=s, d=d), n=2, **sizes)
        yield Case("group conv", group.format(s=s, d=d, c=3), n=1, g=3, **sizes)
    depthwise = "n, h*{s}+i, w*{s}+j*{d}, c | i, j, c | c | n, h, w, c"
    for c, w, k, s, d in [(1, 1, 3, 1, 1), (5, 14, 3, 1, 1), (37, 17, 3, 2, 1),
                          (16, 5, 5, 1, 2), (20, 9, 9, 1, 1), (64, 28, 3, 1, 1)]:
        for dynamic in {False, k == 3}:
            yield Case("depthwise", depthwise.format(s=s, d=d), n=2, h=3, w=w, c=c,
                       i=k, j=k, dynamic=dynamic)
    skipping = "n, h*{s}+i*{d}-{y}, w*{s}+j*{d}-{x}, c | i, j, c | c | n, h, w, c"
    for c, (h, w), k, s, d, (y, x), (height, width) in [
            (8, (2, 80), 5, 1, 1, (2, 2), (2, 80)), (37, (7, 17), 3, 1, 1, (1, 1), (7, 17)),
            (16, (1, 1), 3, 1, 1, (1, 1), (1, 1)), (20, (4, 28), 3, 2, 1, (0, 1), (8, 55)),
            (33, (6, 31), 3, 1, 4, (4, 4), (6, 31)), (5, (9, 3), 4, 1, 1, (5, 7), (3, 2)),
            (64, (5, 5), 9, 1, 1, (4, 0), (5, 13)), (17, (3, 29), 7, 3, 2, (6, 6), (7, 85)),
            (8, (3, 5), 2, 1, 4, (2, 0), (2, 9))]:  # a map between the lines of a window
        sizes = dict(n=2, h=h, w=w, c=c, i=k, j=k)
        maps = skipping.format(s=s, d=d, y=y, x=x)
        yield Case("depthwise, padded", maps, outside={1: height, 2: width}, **sizes)
        # Only lines may be left out where the length of one is not known.
        yield Case("depthwise, padded", skipping.format(s=s, d=d, y=y, x=0), dynamic=True,
                   outside={1: height}, **sizes)
        yield Case("depthwise, padded", maps, dynamic=True, outside={1: height, 2: width}, **sizes)
    yield Case("depthwise, padded", skipping.format(s=1, d=1, y=1, x=1), outside={1: 5, 2: 9},
               types=("i8", "i8", "i32"), unsigned="a", n=1, h=5, w=9, c=20, i=3, j=3)
    yield Case("depthwise 3-D, padded",
               "n, x+i-1, y+j-2, z+k-1, c | i, j, k, c | n, x, y, z, c", outside={1: 3, 2: 2, 3: 6},
               n=2, x=3, y=2, z=6, c=19, i=3, j=5, k=3)
    yield Case("conv, padded", "n, h+i-1, w+j-1, c | i, j, c, m | n, h, w, m",
               outside={1: 3, 2: 4}, n=1, h=3, w=4, c=3, m=9, i=3, j=3)
    yield Case("depthwise, channels first, padded", "n, c, h+i-1, w+j | c, i, j | n, c, h, w",
               outside={2: 3}, n=2, h=3, w=4, c=3, i=3, j=3)
    for dynamic in (False, True):
        yield Case("depthwise times 2", "n, h+i, w+j, c | i, j, c, m | n, h, w, c, m",
                   n=1, h=3, w=5, c=7, m=2, i=3, j=3, dynamic=dynamic)
        yield Case("conv 1-D", "n, w*3+j, c | j, c, m | m | n, w, m",
                   n=2, w=9, c=5, m=20, j=4, dynamic=dynamic)
        yield Case("conv 3-D", "n, x+i, y+j, z*2+k, c | i, j, k, c, m | m | n, x, y, z, m",
                   n=1, x=3, y=4, z=5, c=5, m=9, i=2, j=3, k=2, dynamic=dynamic)
        yield Case("channels first", "n, c, h+i, w+j | m, c, i, j | m | n, m, h, w",
                   n=1, h=3, w=20, c=3, m=17, i=2, j=2, dynamic=dynamic)
        yield Case("weights channels first", "n, h+i, w+j, c | m, c, i, j | n, h, w, m",
                   n=1, h=3, w=4, c=3, m=17, i=2, j=2, dynamic=dynamic)


def byte_cases():
    """Contractions of bytes in panels and groups of four."""
    product = "m, k | n // {p}, k // 4, n % {p}, k % 4 | n | m, n"
    for unsigned, flip in [("a", False), ("a", True), ("", False), ("", True)]:
        kind = dict(types=("i8", "i8", "i32"), unsigned=unsigned, flip=flip)
        for m, n, k, p in [(1, 1, 2, 16), (6, 64, 8, 64), (7, 65, 9, 64), (13, 40, 5, 48),
                           (29, 130, 3, 32), (17, 64, 67, 64), (0, 16, 4, 16)]:
            yield Case("bytes in groups", product.format(p=p), group="k", m=m, n=n, k=k, **kind)
        conv = ("n, h*{s}+i, w*{s}+j*{d}, c | m // 32, i, j, c // 4, m % 32, c % 4 | m"
                " | n, h, w, m")
        for h, w, c, i, m, s, d in [(5, 5, 8, 3, 32, 1, 1), (5, 7, 6, 3, 40, 2, 1),
                                    (4, 4, 5, 2, 33, 1, 2), (3, 3, 16, 1, 7, 2, 1)]:
            yield Case("conv of bytes", conv.format(s=s, d=d), group="c", n=2, h=h, w=w, c=c,
                       m=m, i=i, j=i, **kind)
        # Pixels and channels of a line as one dimension.
        yield Case("merged conv", "n, h*2+i, w*6+k | m // 32, i, k // 4, m % 32, k % 4 | m"
                   " | n, h, w, m", group="k", n=2, h=3, w=5, m=24, i=7, k=21, **kind)
        yield Case("grouped conv", "n, h+i, w+j, g*6+c | g, m // 16, i, j, c // 4, m % 16, c % 4"
                   " | g, m | n, h, w, g, m", group="c", n=1, h=3, w=4, g=3, m=12, i=3, j=3, c=6,
                   **kind)


def tile_cases():
    """Those, and more rows: of lines, of images that are one line, with steps
    that fill no tile, in several panels, of sizes that only the run knows."""
    product = "m, k | n // {p}, k // {g}, n % {p}, k % {g} | n | m, n"
    batch = "b, m, k | b, n // 32, k // {g}, n % 32, k % {g} | b, m, n"
    conv = ("n, h*{s}+i, w*{s}+j*{d}, c | m // 32, i, j, c // {g}, m % 32, c % {g} | n, h, w, m | n, h, w, m")
    for types, unsigned, g in [(("i8", "i8", "i32"), "a", 4), (("i8", "i8", "i32"), "", 4),
                               (("i8", "i8", "i32"), "b", 4), (("i8", "i8", "i32"), "ab", 4),
                               (("bf16", "bf16", "f32"), "", 2)]:
        kind = dict(types=types, unsigned=unsigned, group="k")
        for m, n, k, p in [(8, 16, 64, 16), (16, 32, 64, 32), (17, 48, 128, 48), (33, 70, 192, 64), (49, 65, 100, 32),
                           (100, 31, 33, 32), (64, 64, 31, 32), (129, 96, 260, 16), (31, 1, 7, 16),
                           # Sums whose half of a panel fills the L1 cache, of whole lines and not.
                           (36, 17, 1024, 16), (34, 20, 1000, 32)]:
            yield Case("tiles", product.format(p=p, g=g), m=m, n=n, k=k, **kind)
            yield Case("tiles", product.format(p=p, g=g), m=m, n=n, k=k, rows="m", **kind)
        for m in (0, 1, 2, 15, 31, 32):
            yield Case("tiles", product.format(p=32, g=g), m=m, n=40, k=70, rows="m", **kind)
        for m, rows in [(11, ""), (30, ""), (30, "m"), (3, "bm")]:
            yield Case("batches in tiles", batch.format(g=g), b=3, m=m, n=50, k=90, rows=rows, **kind)
        # Rows of whole lines.
        for m, rows in [(50, ""), (50, "m"), (40, "bm")]:
            yield Case("batches in tiles", batch.format(g=g), b=3, m=m, n=50, k=128, rows=rows, **kind)
        kind["group"] = "c"
        for h, w, c, i, m, s, d in [(7, 7, 64, 3, 64, 1, 1), (5, 14, 40, 3, 40, 1, 1), (6, 28, 24, 1, 24, 1, 1),
                                    (4, 17, 66, 3, 33, 2, 1), (8, 8, 32, 3, 48, 1, 2), (3, 5, 130, 2, 16, 2, 1)]:
            for rows in ("", "n", "nhw"):
                yield Case("conv in tiles", conv.format(s=s, d=d, g=g), n=2, h=h, w=w, c=c, m=m, i=i, j=i, rows=rows,
                           **kind)
        yield Case("groups in tiles", f"n, h+i, w+j, g*40+c | g, m // 16, i, j, c // {g}, m % 16, c % {g}"
                   " | g, m | n, h, w, g, m", n=1, h=9, w=11, g=3, m=24, i=3, j=3, c=40, **kind)


def shared_object(text, options, cpu, folder):
    pipeline = (f"builtin.module(dlc-lower-contract{{{options}}},canonicalize,cse,"
                "convert-scf-to-cf,expand-strided-metadata,lower-affine,"
                "convert-to-llvm,reconcile-unrealized-casts)")
    names = {x: str(folder / ("kernels." + x)) for x in ("mlir", "llvm", "ll", "o", "so")}
    pathlib.Path(names["mlir"]).write_text(text)
    for command in (
            ["dlc-opt", "--pass-pipeline=" + pipeline, names["mlir"], "-o", names["llvm"]],
            ["mlir-translate", "--mlir-to-llvmir", names["llvm"], "-o", names["ll"]],
            ["llc", "-O1", "-mcpu=" + cpu, "-mtriple=x86_64-linux-gnu",
             "-relocation-model=pic", "-filetype=obj", names["ll"], "-o", names["o"]],
            ["ld.lld", "-shared", names["o"], "-o", names["so"]]):
        subprocess.run(command, check=True)
    return ctypes.CDLL(names["so"])


def descriptor(array):
    """The array as the C interface of MLIR takes a memref."""
    sizes = [array.ctypes.data, array.ctypes.data, 0, *array.shape,
             *(s // array.itemsize for s in array.strides)]
    return (ctypes.c_int64 * len(sizes))(*sizes)


def at_page_end(array, before=0):
    """A copy that ends where memory does, or some bytes before: to read beyond it is a fault."""
    if not array.size:
        return array
    libc = ctypes.CDLL(None)
    libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_long] * 4
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    size = -(-(array.nbytes + before) // mmap.PAGESIZE) * mmap.PAGESIZE
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    start = libc.mmap(None, size + mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    assert libc.mprotect(start + size, mmap.PAGESIZE, 0) == 0
    memory = (ctypes.c_char * array.nbytes).from_address(start + size - array.nbytes - before)
    copy = np.frombuffer(memory, array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def request_tiles():
    """As the runtime of an object does."""
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    if ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data):
        pytest.skip("this process may not use AMX")


@pytest.mark.every
@pytest.mark.parametrize("unit", UNITS)
def test_contract(unit, tmp_path):
    options, cpu, flag = UNITS[unit]
    info = pathlib.Path("/proc/cpuinfo")
    if not info.exists() or flag not in info.read_text():
        pytest.skip(f"this machine has no {flag}")
    # Without such instructions, bytes in groups are summed one by one.
    table = [*cases(), *itertools.islice(byte_cases(), 3)]
    if "dot=" in options:
        table = list(byte_cases())
    if "amx" in options:
        request_tiles()
        table += tile_cases()
    text = "".join(case.text(f"f{i}") for i, case in enumerate(table))
    library = shared_object(text, options, cpu, tmp_path)
    random = np.random.default_rng(0)
    wrong = []
    for i, case in enumerate(table):
        arrays = case.arrays(random)
        expected = case.expected(arrays)
        # How tiles of A are read depends on whether its rows begin with lines of the cache.
        befores = (0, 16) if "amx" in options else (0,) if case.outside else (None,)
        for before in befores:
            placed = arrays if before is None else [at_page_end(a, before) for a in arrays]
            getattr(library, f"_mlir_ciface_f{i}")(*(descriptor(a) for a in placed))
            error = np.abs(placed[-1] - expected).max(initial=0)
            if not error <= TOLERANCE[case.types[-1]] * np.abs(expected).max(initial=1):
                wrong.append(f"{case}, {before} bytes before a page's end: off by {error}")
    assert not wrong, "\n".join(wrong)
