"""Models for a GPU, run without one: the host part with the driver of
fake_cuda.c, the kernels on the CPU."""

from __future__ import annotations

import ctypes
import pathlib
import subprocess

import numpy as np
import onnx

import dlc

HERE = pathlib.Path(__file__).parent
UNLIMITED = 2**63


class Driver:
    """A libcuda.so.1 for this process: what is loaded under that name first is
    what models open, too."""

    def __init__(self, folder: pathlib.Path):
        self.emulator = folder / "emulator.o"
        library = folder / "libcuda.so.1"
        flags = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC"]
        sources = [HERE / "emulator.c", HERE / "emulator_warp.c"]
        subprocess.run([*flags, "-O2", "-r", *sources, "-o", self.emulator], check=True)
        subprocess.run(
            [*flags, "-shared", "-Wl,-soname,libcuda.so.1", HERE / "fake_cuda.c", "-o", library],
            check=True,
        )
        self.library = ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
        self.library.fake_cuda_log.restype = ctypes.c_char_p
        self.library.fake_cuda_error.restype = ctypes.c_char_p
        self.library.fake_cuda_in_use.restype = ctypes.c_size_t
        self.library.fake_cuda_counts.restype = ctypes.c_char_p
        self.library.fake_cuda_alloc.restype = ctypes.c_void_p
        self.library.fake_cuda_stream.restype = ctypes.c_void_p

    def reset(self, kernels="", devices=1, capability=80, memory=UNLIMITED):
        self.library.fake_cuda_reset(
            str(kernels).encode(), devices, capability, ctypes.c_size_t(memory)
        )

    def fail(self, call: str, after: int, code: int):
        self.library.fake_cuda_fail(call.encode(), after, code)

    def break_launch(self, after: int):
        """The launch behind `after` others fails on the GPU, where later calls
        find it."""
        self.library.fake_cuda_break(after)

    @property
    def calls(self) -> list[str]:
        return self.library.fake_cuda_log().decode().splitlines()

    @property
    def error(self) -> str:
        return self.library.fake_cuda_error().decode()

    @property
    def in_use(self) -> int:
        return self.library.fake_cuda_in_use()

    @property
    def counts(self) -> dict[str, int]:
        """How often each function was called."""
        lines = self.library.fake_cuda_counts().decode().splitlines()
        return {name: int(count) for name, count in map(str.split, lines)}

    def stream(self, device: int = 0) -> int:
        return self.library.fake_cuda_stream(device)

    @property
    def held(self) -> int:
        return self.library.fake_cuda_held()


class DeviceArray:
    """An array in the memory of the driver's GPU."""

    def __init__(self, driver: Driver, value: np.ndarray, device: int = 0, offset: int = 0):
        self.driver, self.value = driver, np.ascontiguousarray(value)
        base = driver.library.fake_cuda_alloc(device, ctypes.c_size_t(value.nbytes + offset + 1))
        self.address = base + offset
        driver.library.fake_cuda_poke(
            ctypes.c_void_p(self.address), self.value.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(value.nbytes),
        )  # fmt: skip

    @property
    def __cuda_array_interface__(self):
        return {"typestr": self.value.dtype.str, "shape": self.value.shape, "version": 3,
                "data": (self.address, False)}  # fmt: skip

    def read(self) -> np.ndarray:
        found = np.empty_like(self.value)
        self.driver.library.fake_cuda_peek(
            found.ctypes.data_as(ctypes.c_void_p), ctypes.c_void_p(self.address),
            ctypes.c_size_t(found.nbytes),
        )  # fmt: skip
        return found


class Failure(Exception):
    """What dlc said."""


LIBRARIES = [ctypes.CDLL(name) for name in ("libc.so.6", "libm.so.6")]  # and pthread, dlopen
IN_PROGRAMS = {"atexit"}  # the part of libc that is linked to each program has it


def check_symbols(made: pathlib.Path, known=()):
    """An object needs nothing but the system's libraries, and `known`."""
    listed = subprocess.run(["nm", "-u", made], check=True, capture_output=True, text=True)
    for name in listed.stdout.split()[1::2]:
        assert name in {*known, *IN_PROGRAMS} or any(hasattr(x, name) for x in LIBRARIES), name


def compile(model, folder: pathlib.Path, driver: Driver, *flags: str, gpu="sm_80", name="network",
            link=(), needs=()):  # fmt: skip
    """The model as a shared library made of its object, which is loaded, and the
    path of its kernels. `link` brings the functions that the object `needs`."""
    path = model
    if isinstance(model, onnx.ModelProto):
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
    made = folder / f"{name}.o"
    command = ["dlc", path, "-o", made, f"--name={name}", f"--gpu={gpu}", *flags]
    done = subprocess.run(
        [*command, "--emit=obj,header,emulation"], capture_output=True, text=True
    )
    if done.returncode:
        raise Failure(done.stderr)
    check_symbols(made, needs)
    library, kernels = folder / f"{name}.so", folder / f"{name}.kernels.so"
    subprocess.run(["cc", "-shared", "-o", library, made, *link, "-lm", "-lpthread"], check=True)
    emulation = folder / f"{name}.emulation.o"
    subprocess.run(["cc", "-shared", "-o", kernels, emulation, driver.emulator], check=True)
    return dlc.load(library, name=name), kernels


