"""Artifacts as a stranger makes them: each is written over one of an export."""

import io
import json
import shutil
import zipfile

import h5py
import numpy as np
import onnx
import stage_runs
import tensorflow as tf
from onnx import TensorProto, helper
from tensorflow.core.protobuf import saved_model_pb2

CLASSES = stage_runs.NUM_CLASSES
WIDTH = sum(stage_runs.FEATURE_SIZES)
VARIABLES = "saved_model/variables/variables.data-00000-of-00001"


def flip(folder, name):
    """Changes a byte in the middle of a file."""
    contents = bytearray((folder / name).read_bytes())
    contents[len(contents) // 2] ^= 255
    (folder / name).write_bytes(contents)


def cut(folder, name):
    contents = (folder / name).read_bytes()
    (folder / name).write_bytes(contents[: len(contents) // 3])


def drop_digests(folder):
    """Makes the card that of an older export."""
    card = json.loads((folder / "card.json").read_text())
    for row in card["artifacts"]:
        del row["sha256"]
    (folder / "card.json").write_text(json.dumps(card))


def scores(frames):
    return tf.cast(frames[:, 0, :CLASSES], tf.float32) / 255


def save_program(folder, call, signature="serving_default", **parts):
    """Writes a SavedModel of a function of `frames` and `num_frames`."""
    module = tf.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    specs = (
        tf.TensorSpec([None, None, WIDTH], tf.uint8, name="frames"),
        tf.TensorSpec([None], tf.int32, name="num_frames"),
    )

    def predict(frames, num_frames):
        return call(frames)

    traced = tf.function(predict, input_signature=specs, autograph=False)
    shutil.rmtree(folder / "saved_model")
    tf.saved_model.save(
        module,
        str(folder / "saved_model"),
        {signature: traced.get_concrete_function()},
    )


def write_at_run(folder):
    def predict(frames):
        with tf.control_dependencies(
            [tf.io.write_file(str(folder / "written"), "x")]
        ):
            return {"predictions": tf.identity(scores(frames))}

    save_program(folder, predict)


class WritingTable(tf.saved_model.experimental.TrackableResource):
    """A resource whose initializer, which loading runs, writes a file."""

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    def _create_resource(self):
        return tf.raw_ops.VarHandleOp(shape=[], dtype=tf.float32)

    def _initialize(self):
        tf.io.write_file(self.path, "x")


def write_at_load(folder):
    table = WritingTable(folder / "written")

    def predict(frames):
        assert table.resource_handle is not None
        return {"predictions": scores(frames)}

    save_program(folder, predict, table=table)


def call_python(folder):
    def predict(frames):
        found = tf.numpy_function(lambda x: x, [scores(frames)], tf.float32)
        return {"predictions": found}

    save_program(folder, predict)


def huge_constant(folder):
    """A constant whose one value stands for many."""
    save_program(folder, lambda frames: {"predictions": scores(frames)})
    path = folder / "saved_model" / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for function in model.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "Const":
                shape = node.attr["value"].tensor.tensor_shape
                del shape.dim[:]
                shape.dim.add(size=10**12)
    path.write_bytes(model.SerializeToString())


def write_onnx(folder, nodes, tensors=(), output="predictions"):
    """Writes an ONNX graph that knows `p0`, a score of each class."""
    inputs = [
        helper.make_tensor_value_info(
            "frames", TensorProto.UINT8, ["b", stage_runs.MAX_FRAMES, WIDTH]
        ),
        helper.make_tensor_value_info("num_frames", TensorProto.INT32, ["b"]),
    ]
    first = [
        helper.make_node("Slice", ["frames", "start", "end", "axes"], ["x"]),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
        helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["z", "most"], ["p0"]),
    ]
    held = [
        _whole_numbers("start", [0, 0]),
        _whole_numbers("end", [1, CLASSES]),
        _whole_numbers("axes", [1, 2]),
        _whole_numbers("shape", [-1, CLASSES]),
        helper.make_tensor("most", TensorProto.FLOAT, [], [255.0]),
        *tensors,
    ]
    value = helper.make_tensor_value_info(
        output, TensorProto.FLOAT, ["b", CLASSES]
    )
    graph = helper.make_graph(
        first + nodes, "g", inputs, [value], initializer=held
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def _whole_numbers(name, values):
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def endless_loop(folder):
    def value(name, kind):
        return helper.make_tensor_value_info(name, kind, [])

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["c"], ["c_out"]),
            helper.make_node("Mul", ["v", "v"], ["v_out"]),
        ],
        "body",
        [
            value("i", TensorProto.INT64),
            value("c", TensorProto.BOOL),
            value("v", TensorProto.FLOAT),
        ],
        [value("c_out", TensorProto.BOOL), value("v_out", TensorProto.FLOAT)],
    )
    write_onnx(
        folder,
        [
            helper.make_node("ReduceMax", ["p0"], ["m"], keepdims=0),
            helper.make_node("Loop", ["", "true", "m"], ["end"], body=body),
            helper.make_node("Add", ["p0", "end"], ["predictions"]),
        ],
        [helper.make_tensor("true", TensorProto.BOOL, [], [True])],
    )


def onnx_beyond_memory(folder):
    nodes = [
        helper.make_node("ConstantOfShape", ["huge"], ["many"]),
        helper.make_node("ReduceMax", ["many"], ["m"], keepdims=0),
        helper.make_node("Add", ["p0", "m"], ["predictions"]),
    ]
    write_onnx(folder, nodes, [_whole_numbers("huge", [10**7, 10**7])])


def onnx_values_elsewhere(folder):
    write_onnx(folder, [helper.make_node("Add", ["p0", "w"], ["predictions"])])
    model = onnx.load(folder / "model.onnx")
    tensor = model.graph.initializer.add(
        name="w", data_type=TensorProto.FLOAT, dims=[CLASSES]
    )
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="card.json")
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def onnx_shape_of_nothing(folder):
    write_onnx(folder, [helper.make_node("Add", ["p0", "w"], ["predictions"])])
    model = onnx.load(folder / "model.onnx")
    model.graph.initializer.add(
        name="w", data_type=TensorProto.FLOAT, dims=[10**6, 10**6]
    )
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def change_keras(folder, change=None, extra=None, weights=None, kind=0):
    """Writes a `.keras` file anew, with changes."""
    path = folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if change is not None:
        text = change(members["config.json"].decode())
        members["config.json"] = text.encode()
    if weights is not None:
        members["model.weights.h5"] = weights
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, contents in (members | (extra or {})).items():
            archive.writestr(name, contents)


def replace_in_config(before, after):
    def change(text):
        assert before in text
        return text.replace(before, after)

    return change


def compressed_weights():
    """Returns an HDF5 file of few bytes with 40 GB of zeros."""
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        file.create_dataset(
            "layers/vars/0",
            shape=(100_000, 100_000),
            chunks=(1_000, 1_000),
            compression="gzip",
            dtype=np.float32,
        )
    return held.getvalue()
