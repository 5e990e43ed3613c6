"""Numbers of examples within a pass over the data."""

from typing import Any

import tensorflow as tf

from distill.data.records import Parsed


def number_examples(dataset: tf.data.Dataset, position: int) -> tf.data.Dataset:
    """Numbers examples from 1 and leaves out the first `position`."""
    numbers = tf.data.Dataset.counter(1)
    numbered = tf.data.Dataset.zip({"example": dataset, "position": numbers})
    return numbered.skip(position)


def flatten(numbered: dict[str, Any]) -> Parsed:
    """Returns numbered examples, or batches of them, as one dict."""
    return numbered["example"] | {"position": numbered["position"]}
