"""VGGish, the network of AudioSet's release, and its published weights.

Hershey et al. 2017, "CNN Architectures for Large-Scale Audio Classification".
The embedding is taken before any activation, as the release's own program
does; its PCA reads these numbers.
"""

from pathlib import Path
from typing import Any

from distill.extraction.log_mel import NUM_BANDS, PATCH_WINDOWS

# Files of weights, by their endings.
KERAS_WEIGHTS = (".h5", ".hdf5")
CHECKPOINT = ".ckpt"
# Layers in order, with the names that the release's checkpoint gives them:
# convolutions before each halving of both axes, then dense layers.
_CONVOLUTIONS = (
    {"conv1": 64},
    {"conv2": 128},
    {"conv3/conv3_1": 256, "conv3/conv3_2": 256},
    {"conv4/conv4_1": 512, "conv4/conv4_2": 512},
)
_DENSE = {"fc1/fc1_1": 4096, "fc1/fc1_2": 4096}
_EMBEDDING = {"fc2": 128}


def make_vggish() -> Any:
    """Returns the Keras model: patches `[n, 96, 64, 1]` to `[n, 128]`."""
    import keras

    # The weights come from a file; drawing 72 million would take seconds.
    layer = {"kernel_initializer": "zeros"}
    inputs = keras.Input((PATCH_WINDOWS, NUM_BANDS, 1), name="patches")
    found = inputs
    for group in _CONVOLUTIONS:
        for filters in group.values():
            found = keras.layers.Conv2D(
                filters, 3, padding="same", activation="relu", **layer
            )(found)
        found = keras.layers.MaxPooling2D(2)(found)
    found = keras.layers.Flatten()(found)
    for units in _DENSE.values():
        found = keras.layers.Dense(units, activation="relu", **layer)(found)
    for units in _EMBEDDING.values():
        found = keras.layers.Dense(units, **layer)(found)
    return keras.Model(inputs, found, name="vggish")


def load_vggish(path: Path) -> Any:
    """Returns the model with the weights of a local file.

    Args:
      path: The release's checkpoint (`.ckpt`), or weights of this architecture
        that Keras wrote (`.h5`).

    Raises:
      Exception: The file is damaged or of another network; each library has
        its own errors.
    """
    model = make_vggish()
    if path.suffix == CHECKPOINT:
        model.set_weights(_read_checkpoint(path))
    else:
        model.load_weights(path)
    return model


def _read_checkpoint(path: Path) -> list[Any]:
    """Returns kernel and bias of each layer of the release's checkpoint."""
    import tensorflow as tf

    checkpoint = tf.train.load_checkpoint(str(path))
    names: list[str] = []
    for group in (*_CONVOLUTIONS, _DENSE, _EMBEDDING):
        names.extend(group)
    return [
        checkpoint.get_tensor(f"vggish/{name}/{kind}")
        for name in names
        for kind in ("weights", "biases")
    ]
