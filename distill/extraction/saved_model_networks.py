"""Image networks that are SavedModels.

A SavedModel is a program: load only those that you trust.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from distill.extraction.image_input import read_image_input
from distill.extraction.image_networks import (
    ImageOptions,
    LoadedNetwork,
    identify,
    local_file,
    refuse_weights,
    split_part,
)
from distill.system.digests import path_hash

# The scale that TensorFlow Hub has for the inputs of image networks.
_DEFAULT_SCALE = "unit"
_SIGNATURE = "serving_default"


def load(rest: str, options: ImageOptions) -> LoadedNetwork:
    """Loads `DIRECTORY`, `DIRECTORY#SIGNATURE` or `...#SIGNATURE:OUTPUT`.

    Raises:
      ValueError: There is no SavedModel, or its signature reads no images.
    """
    refuse_weights(options)
    path, part = split_part(rest)
    name, _, output = part.partition(":")
    name = name or _SIGNATURE
    with local_file(path, "SavedModel") as local:
        model = tf.saved_model.load(str(local))
        function = _find_signature(model, name)
        key, spec = _find_input(function)
        output = _find_output(function, output)
        form = read_image_input(
            spec.shape.as_list(),
            spec.dtype.as_numpy_dtype,
            scale=options.scale,
            default_scale=_DEFAULT_SCALE,
            size=options.size,
        )
        digest = path_hash(local)
    batch_size = form.batch_size or options.batch_size

    # The signature does not keep the weights of the model alive.
    def run(images: np.ndarray, kept: Any = model) -> np.ndarray:
        outputs = function(**{key: tf.constant(form.prepare(images))})
        return form.to_vectors(outputs[output].numpy())

    return LoadedNetwork(
        run=run,
        input_size=form.size,
        batch_size=batch_size,
        macs=None,
        identity=identify(
            f"saved_model:#{name}:{output}", digest, form, batch_size
        ),
    )


def _find_signature(model: Any, name: str) -> Any:
    signatures = getattr(model, "signatures", {})
    if name not in signatures:
        held = ", ".join(sorted(signatures)) or "none"
        raise ValueError(
            f"it has no signature {name!r}; its signatures: {held}"
        )
    return signatures[name]


def _find_input(function: Any) -> tuple[str, tf.TensorSpec]:
    inputs = function.structured_input_signature[1]
    if len(inputs) != 1:
        raise ValueError(
            f"its signature has {len(inputs)} inputs ({', '.join(inputs)}), "
            "not one of images"
        )
    [(key, spec)] = inputs.items()
    if spec.shape.rank is None:
        raise ValueError(f"its input {key} may be of any shape")
    return key, spec


def _find_output(function: Any, name: str) -> str:
    outputs = sorted(function.structured_outputs)
    if not name and len(outputs) == 1:
        return outputs[0]
    if name not in outputs:
        raise ValueError(
            f"its outputs are {', '.join(outputs)}: name one as "
            "DIRECTORY#SIGNATURE:OUTPUT"
        )
    return name
