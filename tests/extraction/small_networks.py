"""One small image network in every form, and the same in NumPy by hand.

A convolution of 3x3 pixels with stride 2, ReLU, and the mean over positions.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

SIZE = 8
NUM_FEATURES = 5
# 3x3 positions of 5 sums of 27 products.
MACS = 3 * 3 * 5 * 27
KERNEL = np.random.default_rng(1).normal(size=(3, 3, 3, 5)).astype(np.float32)


def maps_by_hand(pixels):
    """Returns the maps `[n, h, w, 5]` of pixels `[n, h, w, 3]`."""
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3), (1, 2))
    sums = np.einsum("nhwcij,ijcf->nhwf", windows[:, ::2, ::2], KERNEL)
    return np.maximum(sums, 0)


def features_by_hand(pixels):
    """Returns the features `[n, 5]` of pixels `[n, h, w, 3]`."""
    return maps_by_hand(pixels).mean(axis=(1, 2))


def draw_images(count, height=SIZE, width=SIZE):
    """Returns uint8 `[count, height, width, 3]`."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def write_onnx(
    path, layout="first", *, dtype="FLOAT", shape=None, inputs=("x",)
):
    """Writes an ONNX file; its inner tensor `maps` is `[n, 5, h, w]`."""
    onnx = pytest.importorskip("onnx", reason="comes with the extra onnx")
    pytest.importorskip("onnxruntime", reason="comes with the extra onnx")
    helper, types = onnx.helper, onnx.TensorProto
    order = {"first": [0, 1, 2, 3], "last": [0, 3, 1, 2]}[layout]
    pixels = [3, SIZE, SIZE] if layout == "first" else [SIZE, SIZE, 3]
    shape = shape or ["n", *pixels]
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=types.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=order),
        helper.make_node("Conv", ["planes", "w"], ["sums"], strides=[2, 2]),
        helper.make_node("Relu", ["sums"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
        helper.make_node("Flatten", ["means"], ["features"]),
    ]
    kernel = onnx.numpy_helper.from_array(
        np.ascontiguousarray(KERNEL.transpose(3, 2, 0, 1)), "w"
    )
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [value(name, getattr(types, dtype), shape) for name in inputs],
        [value("features", types.FLOAT, None)],
        [kernel],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(model, str(path))
    return path


def write_saved_model(path, dtype=tf.float32, size=SIZE, **outputs):
    """Writes a SavedModel; `outputs` are more ones, functions of the maps."""
    shape = [None, size, size, 3]

    @tf.function(input_signature=[tf.TensorSpec(shape, dtype, name="images")])
    def read(images):
        pixels = tf.cast(images, tf.float32)
        maps = tf.nn.relu(tf.nn.conv2d(pixels, KERNEL, 2, "VALID"))
        found = {"features": tf.reduce_mean(maps, [1, 2])}
        return found | {name: more(maps) for name, more in outputs.items()}

    tf.saved_model.save(tf.Module(), str(path), {"serving_default": read})
    return path


def write_keras(path, size=SIZE):
    """Writes a `.keras` file whose layer `maps` has the maps."""
    model = keras.Sequential(
        [
            keras.Input((size, size, 3)),
            keras.layers.Conv2D(
                5, 3, 2, activation="relu", use_bias=False, name="maps"
            ),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    model.set_weights([KERNEL])
    model.save(path)
    return path


# Of the batch norm in the frozen graph.
MEAN, VARIANCE, OFFSET = (
    np.random.default_rng(2)
    .uniform(0.5, 2, (3, NUM_FEATURES))
    .astype(np.float32)
)
EPSILON = 1e-3


def _add_node(graph, name, operation, *inputs, **attributes):
    """Adds a node to a graph's definition; returns it."""
    node = graph.node.add(name=name, op=operation, input=inputs)
    for key, value in attributes.items():
        kind = {bytes: "s", bool: "b", int: "i", float: "f"}
        if isinstance(value, tf.DType):
            node.attr[key].type = value.as_datatype_enum
        elif isinstance(value, list):
            node.attr[key].list.i.extend(value)
        else:
            setattr(node.attr[key], kind[type(value)], value)
    return node


def _add_constant(graph, name, value):
    """Adds a constant to a graph's definition; returns its name."""
    tensor = tf.make_tensor_proto(value)
    node = _add_node(graph, name, "Const")
    node.attr["dtype"].type = tensor.dtype
    node.attr["value"].tensor.CopyFrom(tensor)
    return name


def write_inception(path):
    """Writes a frozen graph with the tensors and the age of Inception's.

    It scales an image of any size to 8x8 pixels, and to [-1, 1). Its batch
    norm is an operation that graphs of today may not hold.
    """
    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = 8
    add = functools.partial(_add_node, graph)
    constant = functools.partial(_add_constant, graph)
    floats = {"T": tf.float32}
    constant("DecodeJpeg/contents", b"")
    add("DecodeJpeg", "DecodeJpeg", "DecodeJpeg/contents", channels=3)
    add("Cast", "Cast", "DecodeJpeg", SrcT=tf.uint8, DstT=tf.float32)
    constant("ExpandDims/dim", np.int32(0))
    add("ExpandDims", "ExpandDims", "Cast", "ExpandDims/dim", **floats)
    constant("ResizeBilinear/size", np.int32([SIZE, SIZE]))
    scaled = ("ExpandDims", "ResizeBilinear/size")
    add("ResizeBilinear", "ResizeBilinear", *scaled, **floats)
    constant("Sub/y", np.float32(128))
    add("Sub", "Sub", "ResizeBilinear", "Sub/y", **floats)
    constant("Mul/y", np.float32(1 / 128))
    add("Mul", "Mul", "Sub", "Mul/y", **floats)
    constant("kernel", KERNEL)
    steps = {"strides": [1, 2, 2, 1], "padding": b"VALID"}
    add("conv/Conv2D", "Conv2D", "Mul", "kernel", **steps, **floats)
    norm = [constant("mean", MEAN), constant("variance", VARIANCE)]
    norm += [constant("offset", OFFSET), constant("scale", OFFSET)]
    add(
        "conv/batchnorm",
        "BatchNormWithGlobalNormalization",
        "conv/Conv2D",
        *norm,
        variance_epsilon=EPSILON,
        scale_after_normalization=False,
        **floats,
    )
    add("conv", "Relu", "conv/batchnorm", **floats)
    pool = {"ksize": [1, 3, 3, 1], "strides": [1] * 4, "padding": b"VALID"}
    add("pool_3", "AvgPool", "conv", **pool, **floats)
    constant("pool_3/_reshape/shape", np.int32([1, NUM_FEATURES]))
    add(
        "pool_3/_reshape",
        "Reshape",
        "pool_3",
        "pool_3/_reshape/shape",
        **floats,
    )
    # It classifies too.
    constant("softmax/weights", np.ones((NUM_FEATURES, 7), np.float32))
    logits = ("pool_3/_reshape", "softmax/weights")
    add("softmax/logits", "MatMul", *logits, **floats)
    path.write_bytes(graph.SerializeToString())
    return path


def inception_by_hand(image):
    """Returns the features `[5]` of an image `[height, width, 3]`."""
    pixels = image.astype(np.float64)
    for axis in (0, 1):
        # As TensorFlow did in 2015: corners to corners' origins, no centres.
        place = np.arange(SIZE) * pixels.shape[axis] / SIZE
        low = place.astype(int)
        high = np.minimum(low + 1, pixels.shape[axis] - 1)
        share = np.expand_dims(place - low, tuple({0, 1, 2} - {axis}))
        low, high = (np.take(pixels, each, axis) for each in (low, high))
        pixels = low + (high - low) * share
    windows = np.lib.stride_tricks.sliding_window_view(
        pixels / 128 - 1, (3, 3), (0, 1)
    )
    sums = np.einsum("hwcij,ijcf->hwf", windows[::2, ::2], KERNEL)
    normal = (sums - MEAN) / np.sqrt(VARIANCE + EPSILON) + OFFSET
    return np.maximum(normal, 0).mean(axis=(0, 1))
