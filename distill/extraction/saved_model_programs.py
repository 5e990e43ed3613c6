"""SavedModels as programs.

A SavedModel may do anything that TensorFlow can: load only those that you
trust.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from distill.extraction.network_files import Program, only

_SIGNATURE = "serving_default"


def load_part(path: Path, part: str) -> Program:
    """Loads a directory; `part` is empty, `SIGNATURE` or `SIGNATURE:OUTPUT`.

    Raises:
      Exception: One of TensorFlow's own, or a ValueError: it is damaged, or
        has no such signature or output.
    """
    model = tf.saved_model.load(str(path))
    name, _, output = part.partition(":")
    name = name or _SIGNATURE
    signatures = getattr(model, "signatures", {})
    if name not in signatures:
        held = ", ".join(sorted(signatures)) or "none"
        raise ValueError(f"it has no signature {name}; it has {held}")
    signature = signatures[name]
    inputs = signature.structured_input_signature[1]
    key = only("input", sorted(inputs))
    given = inputs[key]
    if given.shape.rank is None:
        raise ValueError(f"its input {key} may have any number of axes")
    output = _choose_output(sorted(signature.structured_outputs), output)

    def run(batch: np.ndarray) -> np.ndarray:
        # The signature alone does not keep the weights alive.
        found = model.signatures[name](**{key: tf.constant(batch)})
        return found[output].numpy()

    return Program(tuple(given.shape), given.dtype.name, run)


def _choose_output(outputs: list[str], name: str) -> str:
    if not name:
        return only("output", outputs)
    if name not in outputs:
        held = ", ".join(outputs)
        raise ValueError(f"it has no output {name!r}; it has {held}")
    return name
