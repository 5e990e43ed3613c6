"""Image networks of Keras: its applications, and `.keras` files.

An application is built without its classifier and ends with the mean over
positions. Its weights come from the file that Keras keeps of ImageNet's, or
from a file of the user's own. A `.keras` file is loaded in Keras's safe mode,
which refuses Python code in it; its classes must be Keras's.
"""

import functools
import importlib
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from distill.extraction.graph_macs import graph_macs
from distill.extraction.image_input import (
    SCALES,
    ImageInput,
    read_image_input,
)
from distill.extraction.image_networks import (
    IMAGENET,
    ImageOptions,
    LoadedNetwork,
    identify,
    local_file,
    refuse_weights,
    split_part,
)
from distill.models.argument_checks import check_choice
from distill.models.keras_private import application_files, has_hash
from distill.system.digests import path_hash
from distill.system.error_lines import first_line

_FILE_SUFFIX = ".keras"
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


def load(rest: str, options: ImageOptions) -> LoadedNetwork:
    """Loads `NAME`, `FILE.keras` or `FILE.keras#LAYER`.

    Raises:
      ValueError: There is no such application or file, its weights are
        missing, or it does not read images.
    """
    path, layer = split_part(rest)
    if path.endswith(_FILE_SUFFIX):
        refuse_weights(options)
        return _load_file(path, layer, options)
    return _load_application(rest, options)


def default_size(name: str) -> int:
    """Returns height and width of the images of an application of Keras."""
    return _SIZES.get(name, _DEFAULT_SIZE)


def _load_application(name: str, options: ImageOptions) -> LoadedNetwork:
    applications = {
        each: getattr(keras.applications, each)
        for each in dir(keras.applications)
        if each[0].isupper()
    }
    check_choice("application of Keras", name, applications)
    build = applications[name]
    size = options.size or default_size(name)
    headless = functools.partial(
        build, include_top=False, pooling="avg", input_shape=(size, size, 3)
    )
    try:
        if options.weights == IMAGENET:
            model, digest = _build_from_imagenet(headless)
        else:
            model, digest = _build_from_file(headless, options.weights)
    except ValueError as error:
        raise ValueError(f"keras:{name}: {first_line(error)}.") from error
    # `MobileNetV3Large` is no name of `keras.applications.mobilenet_v3`.
    module = build.__module__.rpartition(".")[2]
    own = importlib.import_module(f"keras.applications.{module}")
    form = ImageInput(
        size=(size, size),
        batch_size=None,
        scale=options.scale or "own",
        rescale=SCALES.get(options.scale, own.preprocess_input),
    )
    return _trace(model, f"keras:{name}", digest, form, options)


def _build_from_imagenet(build: Callable) -> tuple[keras.Model, str]:
    """Returns a network with ImageNet's weights, and their file's SHA-256."""
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
    return model, path_hash(found[0])


def _build_from_file(build: Callable, path: str) -> tuple[keras.Model, str]:
    """Returns a network with a user's weights, and their file's SHA-256."""
    if not path.endswith(".h5"):
        raise ValueError(
            f"image_weights must be {IMAGENET!r} or a file that ends in "
            f".weights.h5 or .h5, got {path!r}"
        )
    with local_file(path, "file of weights") as local:
        model = build(weights=None)
        with warnings.catch_warnings():
            # Keras leaves layers at random weights, and only warns of it.
            warnings.filterwarnings("error", message="Skipping")
            try:
                model.load_weights(str(local))
            except UserWarning as error:
                raise ValueError("it lacks weights of some layers") from error
        return model, path_hash(local)


def _load_file(path: str, layer: str, options: ImageOptions) -> LoadedNetwork:
    with local_file(path, "model") as local:
        model = keras.models.load_model(local, compile=False, safe_mode=True)
        inputs = model.inputs or []
        if len(inputs) != 1:
            raise ValueError(f"it has {len(inputs)} inputs, not one of images")
        if layer:
            model = keras.Model(inputs, _find_layer(model, layer).output)
        form = read_image_input(
            inputs[0].shape,
            inputs[0].dtype,
            scale=options.scale,
            default_scale="",
            size=options.size,
        )
        kind = f"keras:#{layer}" if layer else "keras:"
        return _trace(model, kind, path_hash(local), form, options)


def _find_layer(model: keras.Model, name: str) -> keras.layers.Layer:
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise ValueError(
            f"it has no layer {name!r}; its last ones are "
            f"{', '.join(names[-5:])}"
        )
    return model.get_layer(name)


def _trace(
    model: keras.Model,
    kind: str,
    digest: str,
    form: ImageInput,
    options: ImageOptions,
) -> LoadedNetwork:
    """Returns a model as a graph for batches of one size."""
    batch_size = form.batch_size or options.batch_size
    sizes = (3, *form.size) if form.channels_first else (*form.size, 3)
    function = tf.function(
        functools.partial(model, training=False),
        input_signature=[tf.TensorSpec((batch_size, *sizes), form.dtype)],
        autograph=False,
    ).get_concrete_function()

    def run(images: np.ndarray) -> np.ndarray:
        outputs = function(tf.constant(form.prepare(images)))
        return form.to_vectors(outputs.numpy())

    return LoadedNetwork(
        run=run,
        input_size=form.size,
        batch_size=batch_size,
        macs=graph_macs(function.graph, batch_size),
        identity=identify(kind, digest, form, batch_size),
    )
