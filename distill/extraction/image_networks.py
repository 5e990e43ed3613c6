"""Image networks by name or file: images to features.

Weights, graphs and models are programs, or as powerful: load only files of
your own, or of people whom you trust. Nothing is downloaded.
"""

import contextlib
import dataclasses
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from distill.extraction.image_input import SCALES, ImageInput
from distill.models.argument_checks import check_at_least, check_choice
from distill.system.error_lines import first_line
from distill.system.storage import local_copy, to_path

# Weights of the applications of Keras that were trained on ImageNet.
IMAGENET = "imagenet"
# Each is imported when it is asked for: it imports a framework.
_KINDS = {
    "keras": ("keras_networks", "keras:NAME or keras:FILE.keras"),
    "onnx": ("onnx_networks", "onnx:FILE or onnx:FILE#TENSOR"),
    "saved_model": ("saved_model_networks", "saved_model:DIRECTORY"),
    "yt8m": ("inception_graph", "yt8m:DIRECTORY"),
}


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """What a user may state of an image network.

    Attributes:
      weights: `imagenet` or a file, for an application of Keras.
      scale: Name of the scale of the pixels; empty for the network's default.
      size: Height and width of the images; 0 for the network's own.
      batch_size: Images that it reads at once, if it does not say.
    """

    weights: str = IMAGENET
    scale: str = ""
    size: int = 0
    batch_size: int = 1


@dataclasses.dataclass(frozen=True)
class LoadedNetwork:
    """A network as its runtime reads images, for `ImageNetwork`.

    Attributes:
      run: From uint8 `[batch_size, height, width, 3]` to float32
        `[batch_size, d]`.
      input_size: Height and width of the images.
      batch_size: The images that it reads at once.
      macs: Of one image; None if unknown.
      identity: A text that differs where features do: content of the files,
        size and scale of the images.
      any_size: Whether it scales images of other sizes itself.
    """

    run: Callable[[np.ndarray], np.ndarray]
    input_size: tuple[int, int]
    batch_size: int
    macs: int | None
    identity: str
    any_size: bool = False


class ImageNetwork:
    """A network that makes a vector of features of each image.

    The same image has the same features, bit for bit, whatever is read beside
    it: all batches have one size, and the last one is filled up. Runtimes sum
    in another order where batches differ in size.

    Args:
      name: Its name, for messages.
      loaded: The network.

    Attributes:
      input_size: Height and width of the images that it reads.
      any_size: Whether it also reads images of any other size.
      num_features: Size of a vector.
      macs: Multiply-accumulates of an image; None if unknown.
      identity: A text of what decides over features: two networks of one
        identity have equal features on one machine.

    Raises:
      ValueError: The network cannot read images.
    """

    def __init__(self, name: str, loaded: LoadedNetwork):
        self._name, self._loaded = name, loaded
        self.input_size, self.any_size = loaded.input_size, loaded.any_size
        self.macs, self.identity = loaded.macs, loaded.identity
        tried = np.zeros((loaded.batch_size, *self.input_size, 3), np.uint8)
        self.num_features = self._run(tried).shape[1]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the features of images.

        Args:
          images: uint8 `[n, height, width, 3]`, red, green and blue.

        Returns:
          float32 `[n, num_features]`.

        Raises:
          ValueError: The images have another shape or type, the network
            fails, or a feature is no finite number.
        """
        self._check(images)
        size = self._loaded.batch_size
        features = np.empty((len(images), self.num_features), np.float32)
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            missing = size - len(batch)
            filled = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
            found = self._run(filled if missing else batch)
            features[start : start + size] = found[: len(batch)]
        if not np.isfinite(features).all():
            raise ValueError(
                f"{self._name} makes features that are not finite."
            )
        return features

    def _check(self, images: np.ndarray) -> None:
        height, width = self.input_size
        shape = images.shape[1:3] if self.any_size else (height, width)
        expected = (len(images), *shape, 3)
        if images.dtype != np.uint8 or images.shape != expected:
            raise ValueError(
                f"images must be uint8 [n, {height}, {width}, 3], got "
                f"{images.dtype} {list(images.shape)}."
            )

    def _run(self, images: np.ndarray) -> np.ndarray:
        try:
            return self._loaded.run(images)
        except Exception as error:
            # Each runtime has its own error classes.
            raise ValueError(
                f"{self._name} cannot read images: {first_line(error)}."
            ) from error


def load_image_network(
    name: str,
    weights: str = IMAGENET,
    *,
    scale: str = "",
    size: int = 0,
    batch_size: int = 1,
) -> ImageNetwork:
    """Loads an image network.

    Args:
      name: `keras:NAME` for an application of Keras without its classifier,
        `keras:FILE.keras` or `keras:FILE.keras#LAYER`, `onnx:FILE` or
        `onnx:FILE#TENSOR`, `saved_model:DIRECTORY` or
        `saved_model:DIRECTORY#SIGNATURE`, or `yt8m:DIRECTORY` for the network
        of YouTube-8M.
      weights: Of `keras:NAME`: `imagenet` for the file that Keras keeps, or a
        file of weights of the same network.
      scale: Name of the scale of the pixels, one of `SCALES`; empty for the
        network's own, `imagenet` for ONNX and `unit` for a SavedModel.
      size: Height and width of the images; 0 for the network's own.
      batch_size: Images that the network reads at once. Features differ in
        their last bits between batch sizes.

    Raises:
      ValueError: There is no such network, a file is missing or damaged, or
        what is stated does not fit it.
    """
    kind, _, rest = name.partition(":")
    if kind not in _KINDS or not rest:
        forms = "; ".join(form for _, form in _KINDS.values())
        raise ValueError(f"Unknown image network {name!r}: {forms}.")
    if scale:
        check_choice("image_scale", scale, SCALES)
    check_at_least(0, image_size=size)
    check_at_least(1, image_batch_size=batch_size)
    module = importlib.import_module(f"distill.extraction.{_KINDS[kind][0]}")
    options = ImageOptions(weights, scale, size, batch_size)
    return ImageNetwork(name, module.load(rest, options))


def split_part(rest: str) -> tuple[str, str]:
    """Returns the file and the part in it of `FILE#PART`; part may be empty."""
    file, separator, part = rest.rpartition("#")
    return (file, part) if separator else (rest, "")


def refuse_weights(options: ImageOptions) -> None:
    """Checks that no weights are stated for a file that holds its own.

    Raises:
      ValueError: They are.
    """
    if options.weights != IMAGENET:
        raise ValueError(
            "image_weights is for keras:NAME alone; other networks hold their "
            f"own. It is {options.weights!r}."
        )


@contextlib.contextmanager
def local_file(path: str | Path, what: str) -> Iterator[Path]:
    """Gives a local path of a network's file; errors in it name the file.

    Args:
      path: The file or directory, as the user names it.
      what: Its kind, for the message where it is missing.

    Raises:
      ValueError: It is missing, or the body cannot read it.
    """
    if not to_path(path).exists():
        raise ValueError(f"There is no {what} {path}.")
    with local_copy(path) as local:
        try:
            yield local
        except Exception as error:
            # Each runtime has its own error classes for a damaged file.
            raise ValueError(
                f"{path} cannot be loaded: {first_line(error)}."
            ) from error


def identify(kind: str, digest: str, read: ImageInput, batch_size: int) -> str:
    """Returns the identity of a network: all that decides over features."""
    height, width = read.size
    return (
        f"{kind} sha256={digest} size={height}x{width} scale={read.scale} "
        f"batch={batch_size}"
    )
