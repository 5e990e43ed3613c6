"""Image networks of `keras.applications`, without their classifiers.

Each ends with the mean over positions. Its weights come from the file that
Keras keeps of ImageNet's, or from a file of the user's own; nothing is
downloaded.
"""

import functools
import importlib
import warnings
from collections.abc import Callable
from pathlib import Path

import keras

from distill.extraction.image_input import SCALES, ImageInput
from distill.extraction.image_networks import IMAGENET
from distill.extraction.keras_programs import keras_program
from distill.extraction.network_files import Program, load_file
from distill.models.argument_checks import check_choice
from distill.models.keras_private import application_files, has_hash
from distill.system.error_lines import first_line

# The sizes of the images that applications were trained on.
_DEFAULT_SIZE = 224
_SIZES = {
    **dict.fromkeys(("InceptionResNetV2", "InceptionV3", "Xception"), 299),
    "NASNetLarge": 331,
    **{"EfficientNetB1": 240, "EfficientNetB2": 260, "EfficientNetB3": 300},
    **{"EfficientNetB4": 380, "EfficientNetB5": 456, "EfficientNetB6": 528},
    **{"EfficientNetB7": 600, "EfficientNetV2B1": 240},
    **{"EfficientNetV2B2": 260, "EfficientNetV2B3": 300},
    **{"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480},
}


def default_size(name: str) -> int:
    """Returns height and width of the images of an application of Keras."""
    return _SIZES.get(name, _DEFAULT_SIZE)


def load_application(
    name: str, weights: str, scale: str | None, size: int | None
) -> tuple[Program, ImageInput]:
    """Returns an application of Keras and the images that it reads.

    Args:
      name: Its name in `keras.applications`.
      weights: `imagenet`, or a file of weights of the same network.
      scale: Name of the scale of the pixels; None for the application's own.
      size: Height and width of the images; None for those of its training.

    Raises:
      ValueError: There is no such application, its weights are missing or
        those of another network, or the size is too small.
    """
    applications = {
        each: getattr(keras.applications, each)
        for each in dir(keras.applications)
        if each[0].isupper()
    }
    check_choice("application of Keras", name, applications)
    build = applications[name]
    size = size or default_size(name)
    headless = functools.partial(
        build, include_top=False, pooling="avg", input_shape=(size, size, 3)
    )
    try:
        if weights == IMAGENET:
            program = _load_imagenet(headless)
        else:
            program = _load_weights(headless, weights)
    except ValueError as error:
        raise ValueError(f"keras:{name}: {first_line(error)}.") from error
    # `MobileNetV3Large` is no name of `keras.applications.mobilenet_v3`.
    module = build.__module__.rpartition(".")[2]
    own = importlib.import_module(f"keras.applications.{module}")
    return program, ImageInput(
        size=(size, size),
        batch_size=None,
        scale=scale or "own",
        rescale=SCALES[scale] if scale else own.preprocess_input,
    )


def _load_imagenet(build: Callable) -> Program:
    """Returns a network with the weights of ImageNet that Keras keeps."""
    found: list[Path] = []

    def find(place: Path, url: str, file_hash: str | None) -> Path:
        if not place.is_file():
            raise ValueError(
                f"There is no {place}: download {url} to there, or state a "
                "file of your own as image_weights"
            )
        if file_hash and not has_hash(place, file_hash):
            raise ValueError(
                f"{place} is damaged, or another file than {url}: its hash is "
                f"not {file_hash}"
            )
        found.append(place)
        return place

    with application_files(find):
        model = build(weights=IMAGENET)
    return load_file(found[0], lambda path: keras_program(model))


def _load_weights(build: Callable, path: str) -> Program:
    """Returns a network with the weights of a user's file."""
    if not path.endswith(".h5"):
        raise ValueError(
            f"image_weights must be {IMAGENET!r} or a file that ends in "
            f".weights.h5 or .h5, got {path!r}"
        )

    def load(local: Path) -> Program:
        model = build(weights=None)
        with warnings.catch_warnings():
            # Keras leaves layers at random weights, and only warns of it.
            warnings.filterwarnings("error", message="Skipping")
            try:
                model.load_weights(str(local))
            except UserWarning as error:
                raise ValueError("it lacks weights of some layers") from error
        return keras_program(model)

    return load_file(path, load)
