"""The image input of a network: its layout, size and scale of pixels."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_BGR_MEAN = np.array([103.939, 116.779, 123.68], np.float32)
Rescale = Callable[[np.ndarray], np.ndarray]
# From float32 `[n, h, w, 3]`, red, green and blue in [0, 255].
SCALES: dict[str, Rescale] = {
    "bytes": lambda pixels: pixels,
    "unit": lambda pixels: pixels / np.float32(255),
    "symmetric": lambda pixels: pixels / np.float32(127.5) - np.float32(1),
    "imagenet": lambda pixels: (pixels / np.float32(255) - _MEAN) / _DEVIATION,
    "caffe": lambda pixels: pixels[..., ::-1] - _BGR_MEAN,
}
_COLOURS = 3


@dataclasses.dataclass(frozen=True)
class ImageInput:
    """The form in which a network takes images.

    Attributes:
      size: Height and width in pixels.
      batch_size: The one batch size that it takes; None for any.
      scale: Name of the scale of the pixels.
      rescale: Brings pixels to it, as those of `SCALES` do.
      dtype: NumPy's name of the type of its pixels.
      channels_first: Whether it takes `[n, 3, h, w]`, not `[n, h, w, 3]`.
    """

    size: tuple[int, int]
    batch_size: int | None
    scale: str
    rescale: Rescale
    dtype: str = "float32"
    channels_first: bool = False

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Returns uint8 images `[n, h, w, 3]` in the network's form."""
        if self.dtype != "uint8":
            images = self.rescale(images.astype(np.float32))
        if self.channels_first:
            images = np.moveaxis(images, 3, 1)
        return np.ascontiguousarray(images, self.dtype)

    def to_vectors(self, outputs: np.ndarray) -> np.ndarray:
        """Returns outputs `[n, d]`, or the means of maps, as float32 `[n, d]`.

        The channels of a map `[n, d, h, w]` or `[n, h, w, d]` are the axis
        that differs in size from two equal ones, as those of square images
        are; otherwise they stand where the input's do.

        Raises:
          ValueError: The outputs have other axes.
        """
        if outputs.ndim == 4:
            first = self._has_channels_first(outputs.shape)
            outputs = outputs.mean((2, 3) if first else (1, 2), np.float32)
        if outputs.ndim != 2:
            raise ValueError(
                f"its output is {list(outputs.shape)}: features are [n, d], or "
                "maps of four axes"
            )
        return outputs.astype(np.float32)

    def _has_channels_first(self, shape: tuple[int, ...]) -> bool:
        _, first, middle, last = shape
        is_square = self.size[0] == self.size[1]
        if is_square and (first == middle) != (middle == last):
            return middle == last
        return self.channels_first


def read_image_input(
    shape: Sequence[Any],
    dtype: Any,
    *,
    scale: str,
    default_scale: str,
    size: int,
) -> ImageInput:
    """Returns the form of an input that a network describes.

    Args:
      shape: The sizes of its axes; what is no whole number may be any.
      dtype: Its type, as NumPy knows it.
      scale: Name of the scale that the user states; empty for the default.
      default_scale: The default of floats, empty for none; that of uint8 is
        `bytes`.
      size: Height and width that the user states; 0 for the network's own.

    Raises:
      ValueError: It takes no images, or what is stated does not fit.
    """
    dtype = np.dtype(dtype)
    sizes = [each if isinstance(each, int) else None for each in shape]
    if dtype != np.uint8 and dtype.kind != "f":
        raise ValueError(f"its input is {dtype}: images are floats or uint8")
    if len(sizes) != 4 or _COLOURS not in (sizes[1], sizes[3]):
        shown = ", ".join(str(each or "?") for each in sizes)
        raise ValueError(
            f"its input is [{shown}]: images are [n, 3, height, width] or "
            "[n, height, width, 3]"
        )
    channels_first = sizes[1] == _COLOURS
    height, width = sizes[2:] if channels_first else sizes[1:3]
    scale = _choose_scale(scale, default_scale, dtype)
    return ImageInput(
        size=_choose_size(height, width, size),
        batch_size=sizes[0],
        scale=scale,
        rescale=SCALES[scale],
        dtype=dtype.name,
        channels_first=channels_first,
    )


def _choose_size(
    height: int | None, width: int | None, stated: int
) -> tuple[int, int]:
    """Returns the network's height and width, or the stated ones."""
    found = (height or stated, width or stated)
    if not all(found):
        raise ValueError("it takes images of any size: state image_size")
    if stated and found != (stated, stated):
        raise ValueError(
            f"it takes images of {found[0]}x{found[1]} pixels, and image_size "
            f"is {stated}"
        )
    return found


def _choose_scale(stated: str, default: str, dtype: np.dtype) -> str:
    """Returns the name of the scale of the pixels."""
    if dtype == np.uint8:
        if stated not in ("", "bytes"):
            raise ValueError(f"it takes bytes, and image_scale is {stated!r}")
        return "bytes"
    if not stated and not default:
        raise ValueError(
            f"the scale of its pixels is not known: state image_scale, one of "
            f"{', '.join(SCALES)}"
        )
    return stated or default
