"""The image network of YouTube-8M: the frozen Inception graph of 2015.

The features of YouTube-8M are the last hidden layer of the file
`classify_image_graph_def.pb` (Szegedy et al. 2015, arXiv:1512.00567), which
their publishers' extractor feeds with one decoded frame a call. The graph
scales a frame of any size to 299x299 pixels by itself. It is run as it is, one
image a call: the result of the last layer has the fixed shape `[1, 2048]`, and
larger batches, fed behind the scaling, would differ in their last bits.

A graph is a program: load only one that you trust.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from distill.extraction.graph_macs import graph_macs
from distill.extraction.image_input import SCALES, ImageInput
from distill.extraction.network_files import Program, load_file
from distill.system.storage import to_path

GRAPH = "classify_image_graph_def.pb"
URL = (
    "http://download.tensorflow.org/models/image/imagenet/"
    "inception-2015-12-05.tgz"
)
_IMAGE, _FEATURES = "DecodeJpeg:0", "pool_3/_reshape"
_SIZE = (299, 299)


def load_inception(directory: str) -> tuple[Program, ImageInput]:
    """Returns the graph in a directory and the images that it reads.

    Raises:
      ValueError: It is missing, damaged or another one.
    """
    source = f"download {URL} and unpack it there"
    program = load_file(to_path(directory) / GRAPH, _load_graph, source)
    return program, ImageInput(
        size=_SIZE,
        batch_size=1,
        scale="bytes",
        rescale=SCALES["bytes"],
        dtype="uint8",
        any_size=True,
    )


def _load_graph(path: Path) -> Program:
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    # What classifies would count as MACs.
    needed = tf.compat.v1.graph_util.extract_sub_graph(definition, [_FEATURES])
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(needed, name="")
    image = graph.get_tensor_by_name(_IMAGE)
    features = graph.get_tensor_by_name(f"{_FEATURES}:0")
    # A `tf.function` refuses operations that TensorFlow has removed since: a
    # session runs them by the version that the graph states.
    session = tf.compat.v1.Session(graph=graph)

    def run(images: np.ndarray) -> np.ndarray:
        return session.run(features, {image: images[0]}).reshape(1, -1)

    macs = graph_macs(graph, 1)
    return Program((1, None, None, 3), "uint8", run, lambda shape: macs)
