"""Networks of Keras as programs, and `.keras` files.

Keras loads a file in its safe mode, which refuses Python code in it; its
classes must be Keras's own.
"""

from pathlib import Path

import keras
import tensorflow as tf

from distill.extraction.graph_macs import graph_macs
from distill.extraction.network_files import Program, only

SUFFIX = ".keras"


def load_part(path: Path, part: str) -> Program:
    """Loads a file; the output is that of a layer if `part` names one.

    Raises:
      Exception: One of the libraries' own, or a ValueError: it is damaged, or
        has no such layer.
    """
    if path.suffix != SUFFIX:
        raise ValueError(f"its name does not end in {SUFFIX}")
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    if part:
        model = _cut(model, part)
    return keras_program(model)


def keras_program(model: keras.Model) -> Program:
    """Returns the program of a Keras model of one input and one output."""
    inputs, outputs = (
        getattr(model, kind, None) or [] for kind in ("inputs", "outputs")
    )
    only("input", [each.name for each in inputs])
    only("output", [each.name for each in outputs])
    [given] = inputs

    @tf.function(autograph=False)
    def run(batch):
        return model(batch, training=False)

    def count_macs(shape: tuple[int, ...]) -> int | None:
        spec = tf.TensorSpec(shape, given.dtype)
        return graph_macs(run.get_concrete_function(spec).graph, shape[0])

    return Program(
        tuple(given.shape),
        given.dtype,
        lambda batch: run(tf.constant(batch)).numpy(),
        count_macs,
    )


def _cut(model: keras.Model, name: str) -> keras.Model:
    """Returns the part of a model that ends with a layer."""
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise ValueError(
            f"it has no layer {name!r}; its last ones are "
            f"{', '.join(names[-5:])}"
        )
    return keras.Model(model.inputs, model.get_layer(name).output)
