"""Image networks by name or file: images to features.

Weights, graphs and models are programs, or as powerful: load only files of
your own, or of people whom you trust. Nothing is downloaded.
"""

import numpy as np

from distill.extraction.image_input import (
    SCALES,
    ImageInput,
    read_image_input,
)
from distill.extraction.network_files import Program, load_program, split_part
from distill.models.argument_checks import check_at_least, check_choice
from distill.system.error_lines import first_line
from distill.system.storage import to_path

# Weights of the applications of Keras that were trained on ImageNet.
IMAGENET = "imagenet"
_FORMS = {
    "keras": "keras:NAME or keras:FILE.keras",
    "onnx": "onnx:FILE or onnx:FILE#TENSOR",
    "saved_model": "saved_model:DIRECTORY",
    "yt8m": "yt8m:DIRECTORY",
}
# That of networks that PyTorch trained on ImageNet, and that of TensorFlow Hub.
_DEFAULT_SCALES = {"onnx": "imagenet", "saved_model": "unit"}


class ImageNetwork:
    """A network that makes a list of numbers of each image.

    The same image has the same features, bit for bit, whatever is read beside
    it: all batches have one size, and the last one is filled up. Runtimes sum
    in another order where batches differ in size.

    Args:
      name: Its name, `KIND:FILE`.
      program: The network.
      form: The images that it reads.
      batch_size: The images that it reads at once, if `form` does not say.

    Attributes:
      input_size: Height and width of the images that it reads.
      any_size: Whether it also reads images of any other size.
      num_features: Numbers that it makes of an image.
      macs: Multiply-accumulates of an image; None if they are not known.
      identity: A text that differs where features do: of the name without
        folders, the SHA-256 of the files, and what was stated.

    Raises:
      ValueError: The network does not run, or makes something else.
    """

    def __init__(
        self, name: str, program: Program, form: ImageInput, batch_size: int
    ):
        self._name, self._program, self._form = name, program, form
        self._batch_size = form.batch_size or batch_size
        self.input_size, self.any_size = form.size, form.any_size
        kind, _, path = name.partition(":")
        height, width = form.size
        size = "any size" if form.any_size else f"{height}x{width}"
        self.identity = (
            f"{kind}:{to_path(path).name} {program.digest} {form.scale} "
            f"{size} in batches of {self._batch_size}"
        )
        tried = np.zeros((self._batch_size, height, width, 3), np.uint8)
        self.num_features = self._run(tried).shape[1]
        self.macs = program.count_macs(form.prepare(tried).shape)

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
        size = self._batch_size
        features = np.empty((len(images), self.num_features), np.float32)
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            missing = size - len(batch)
            filled = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
            found = self._run(filled if missing else batch)
            features[start : start + size] = found[: len(batch)]
        if not np.isfinite(features).all():
            raise ValueError(f"{self._name} makes a number that is not finite.")
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
            outputs = self._program.run(self._form.prepare(images))
            found = self._form.to_vectors(outputs)
            if len(found) != len(images):
                raise ValueError(
                    f"its output has {len(found)} rows for {len(images)} images"
                )
            return found
        except Exception as error:
            # Each runtime has its own error classes.
            raise ValueError(
                f"{self._name} cannot run: {first_line(error)}."
            ) from error


def load_image_network(
    name: str,
    weights: str = IMAGENET,
    *,
    scale: str | None = None,
    size: int | None = None,
    batch_size: int = 1,
) -> ImageNetwork:
    """Loads an image network.

    Args:
      name: `keras:NAME` for an application of Keras without its classifier,
        a file as in `load_program`, or `yt8m:DIR` for the network of
        YouTube-8M.
      weights: Of `keras:NAME`: `imagenet` for the file that Keras keeps, or a
        file of weights of the same network.
      scale: Name of the scale of the pixels, one of `SCALES`; None for the
        network's own, `imagenet` for ONNX and `unit` for a SavedModel.
      size: Height and width of the images; None for the network's own.
      batch_size: Images that the network reads at once, if it takes any
        number. Features differ in their last bits between batch sizes.

    Raises:
      ValueError: There is no such network, a file is missing or damaged, or
        what is stated does not fit it.
    """
    kind, _, rest = name.partition(":")
    if kind not in _FORMS or not rest:
        forms = "; ".join(_FORMS.values())
        raise ValueError(f"Unknown image network {name!r}: {forms}.")
    if scale is not None:
        check_choice("image_scale", scale, SCALES)
    if size is not None:
        check_at_least(1, image_size=size)
    check_at_least(1, image_batch_size=batch_size)
    program, form = _load(kind, rest, weights, scale, size)
    return ImageNetwork(name, program, form, batch_size)


def _load(
    kind: str, rest: str, weights: str, scale: str | None, size: int | None
) -> tuple[Program, ImageInput]:
    """Returns a network and the images that it reads."""
    if kind == "keras" and not split_part(rest)[0].endswith(".keras"):
        from distill.extraction.keras_applications import load_application

        return load_application(rest, weights, scale, size)
    if weights != IMAGENET:
        raise ValueError(
            "image_weights is for keras:NAME alone; other networks hold their "
            f"own. It is {weights!r}."
        )
    if kind == "yt8m":
        from distill.extraction.inception_graph import load_inception

        if scale is not None or size is not None:
            raise ValueError(
                "yt8m:DIRECTORY scales images and pixels itself: state no "
                "image_scale and no image_size."
            )
        return load_inception(rest)
    program = load_program(f"{kind}:{rest}")
    try:
        default = _DEFAULT_SCALES.get(kind)
        return program, read_image_input(program, scale, default, size)
    except ValueError as error:
        raise ValueError(f"{rest} cannot be used: {error}.") from error
