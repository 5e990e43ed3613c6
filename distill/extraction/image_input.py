"""The image input of a network: its layout, size and scale of pixels."""

import dataclasses
from collections.abc import Callable

import numpy as np

from distill.extraction.network_files import Program

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
      any_size: Whether it also scales images of any other size itself.
    """

    size: tuple[int, int]
    batch_size: int | None
    scale: str
    rescale: Rescale
    dtype: str = "float32"
    channels_first: bool = False
    any_size: bool = False

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
    program: Program,
    scale: str | None,
    default_scale: str | None,
    size: int | None,
) -> ImageInput:
    """Returns the images that a program reads.

    Args:
      program: A network of one input.
      scale: Name of the scale that the user states; None for the default.
      default_scale: The default of floats, None for none; that of uint8 is
        `bytes`.
      size: Height and width that the user states; None for the network's own.

    Raises:
      ValueError: It reads no images, or what is stated does not fit.
    """
    shape, dtype = program.input_shape, program.input_type
    shown = f"{dtype} [{', '.join(str(each or 'any') for each in shape)}]"
    is_image = len(shape) == 4 and _COLOURS in (shape[1], shape[3])
    if not is_image or not dtype.startswith(("float", "uint8")):
        raise ValueError(
            f"it reads {shown}, not images: floats or uint8 "
            "[n, 3, height, width] or [n, height, width, 3]"
        )
    channels_first = shape[1] == _COLOURS
    height, width = shape[2:] if channels_first else shape[1:3]
    scale = _choose_scale(scale, default_scale, dtype)
    return ImageInput(
        size=_choose_size(height, width, size),
        batch_size=shape[0],
        scale=scale,
        rescale=SCALES[scale],
        dtype=dtype,
        channels_first=channels_first,
    )


def _choose_size(
    height: int | None, width: int | None, stated: int | None
) -> tuple[int, int]:
    """Returns the network's height and width, or the stated ones."""
    height, width = height or stated, width or stated
    if height is None or width is None:
        raise ValueError("it takes images of any size: state image_size")
    if stated is not None and (height, width) != (stated, stated):
        raise ValueError(
            f"it takes images of {height}x{width} pixels, and image_size is "
            f"{stated}"
        )
    return height, width


def _choose_scale(stated: str | None, default: str | None, dtype: str) -> str:
    """Returns the name of the scale of the pixels."""
    if dtype == "uint8":
        if stated not in (None, "bytes"):
            raise ValueError(f"it takes bytes, and image_scale is {stated!r}")
        return "bytes"
    scale = stated or default
    if scale is None:
        raise ValueError(
            f"the scale of its pixels is not known: state image_scale, one of "
            f"{', '.join(SCALES)}"
        )
    return scale
