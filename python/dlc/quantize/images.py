"""Calibration data from pictures, prepared as the network's training did."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dlc.quantize.data import gather

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm")
FITS = ("stretch", "crop", "pad")
COLOURS = ("rgb", "bgr", "gray")


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """(pixel * scale - mean) / std, of a picture of `size` (height, width)."""

    size: tuple[int, int]
    resize: int | None = None
    """The shorter side becomes this long before the middle is cut out; without
    it, `fit` brings the picture to `size`."""
    fit: str = "crop"
    """stretch; crop: the middle of what covers the size; pad: all of it, with
    black at the right and below."""
    colours: str = "rgb"
    scale: float = 1 / 255
    mean: float | Sequence[float] = 0.0
    std: float | Sequence[float] = 1.0
    layout: str = "nchw"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for value, choices, what in ((self.fit, FITS, "fit"), (self.colours, COLOURS, "colours"),
                                     (self.layout, ("nchw", "nhwc"), "layout")):  # fmt: skip
            if value not in choices:
                raise ValueError(f"expected {what} of {', '.join(choices)}, found '{value}'")
        channels = 1 if self.colours == "gray" else 3
        for numbers, what in ((self.mean, "mean"), (self.std, "std")):
            if np.size(numbers) not in (1, channels):
                raise ValueError(f"expected 1 or {channels} numbers of {what}, found {np.size(numbers)}")
        if min(self.size) < 1 or (self.resize is not None and self.resize < 1):
            raise ValueError(f"expected a picture of 1 pixel or more, found the size {self.size}"
                             + ("" if self.resize is None else f" and resize={self.resize}"))  # fmt: skip
        try:
            np.dtype(self.dtype)
        except TypeError:
            raise ValueError(f"expected the name of a type of numbers, found '{self.dtype}'") from None
        if not np.all(np.asarray(self.std) > 0):
            raise ValueError(f"expected a std above 0, found {self.std}")

    def __call__(self, picture: Any) -> np.ndarray:
        """The array of a PIL image, without an axis of the batch."""
        from PIL import Image

        picture = _to_bytes(picture).convert("L" if self.colours == "gray" else "RGB")
        (height, width), (w, h) = self.size, picture.size
        if self.resize is not None:
            factor = self.resize / min(w, h)
        elif self.fit == "pad":
            factor = min(width / w, height / h)
        else:
            factor = max(width / w, height / h)
        if self.fit == "stretch" and self.resize is None:
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        else:
            resized = max(round(w * factor), 1), max(round(h * factor), 1)
            picture = picture.resize(resized, Image.Resampling.BILINEAR)
            left, top = (resized[0] - width) // 2, (resized[1] - height) // 2
            if self.fit == "pad":
                left, top = 0, 0
            # What lies outside is black.
            picture = picture.crop((left, top, left + width, top + height))
        pixels = np.asarray(picture, np.float32).reshape(height, width, -1)
        if self.colours == "bgr":
            pixels = pixels[..., ::-1]
        pixels = (pixels * self.scale - np.asarray(self.mean)) / np.asarray(self.std)
        if self.layout == "nchw":
            pixels = pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(pixels, self.dtype)


def _to_bytes(picture: Any) -> Any:
    """Of 16 bits the upper ones; PIL would make 255 of all that is larger."""
    from PIL import Image

    if picture.mode == "F":
        raise ValueError("expected a picture of 8 or 16 bits, found one of floats")
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture).clip(0, 65535).astype(np.uint16) >> 8).astype(np.uint8))


class Images:
    """The pictures of a folder, sorted by name, or a list of files."""

    def __init__(
        self,
        source: str | pathlib.Path | Sequence[str | pathlib.Path],
        input: str,
        preprocessing: Preprocessing,
        batch: int = 1,
    ) -> None:
        if isinstance(source, (str, pathlib.Path)):
            folder = pathlib.Path(source)
            if not folder.is_dir():
                raise ValueError(f"expected a folder of pictures, found '{folder}'")
            self.files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            self.files = [pathlib.Path(p) for p in source]
        if batch < 1:
            raise ValueError(f"expected batches of 1 picture or more, found {batch}")
        if len(self.files) < batch:
            raise ValueError(f"expected {batch} pictures or more in '{source}', found {len(self.files)}")
        self.input, self.preprocessing, self.batch = input, preprocessing, batch

    def __len__(self) -> int:
        return len(self.files) // self.batch

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self.read_from(0)

    def read_from(self, first: int) -> Iterator[dict[str, np.ndarray]]:
        return gather(map(self._load, self.files[first * self.batch :]), self.batch)

    def _load(self, path: pathlib.Path) -> dict[str, np.ndarray]:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as picture:
                return {self.input: self.preprocessing(picture)}
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        except UnidentifiedImageError:
            raise ValueError(f"expected a picture, found '{path}'") from None
        except OSError as error:
            raise ValueError(f"cannot read the picture '{path}': {error}") from None
