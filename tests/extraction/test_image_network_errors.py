"""What is no image network, or does not fit, is told in one line."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.extraction.image_networks import load_image_network
from tests.extraction.small_networks import (
    draw_images,
    write_inception,
    write_keras,
    write_onnx,
    write_saved_model,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")


def reason(*arguments, **stated):
    """Returns the message of loading a network, which is one line."""
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_image_network(*arguments, **stated)
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize("name", ["", "keras", "keras:", "torch:net.pt"])
def test_an_unknown_kind_lists_the_kinds(name):
    assert reason(name) == (
        f"Unknown image network {name!r}: keras:NAME or keras:FILE.keras; "
        "onnx:FILE or onnx:FILE#TENSOR; saved_model:DIRECTORY; yt8m:DIRECTORY."
    )


def test_an_unknown_application_names_the_nearest():
    told = reason("keras:InceptionV4")
    assert "Did you mean 'InceptionV3'? Choices: ConvNeXtBase, " in told


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"scale": "symetric"}, "Did you mean 'symmetric'?"),
        ({"size": 0}, "image_size must be 1 or more, got 0."),
        ({"batch_size": 0}, "image_batch_size must be 1 or more, got 0."),
    ],
)
def test_settings_are_checked(stated, told):
    assert told in reason("keras:MobileNet", **stated)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("keras:{}/net.keras", "There is no {}/net.keras."),
        ("onnx:{}/net.onnx", "There is no {}/net.onnx."),
        ("saved_model:{}/net", "There is no {}/net."),
        (
            "yt8m:{}/net",
            "There is no {}/net/classify_image_graph_def.pb: download "
            "http://download.tensorflow.org/models/image/imagenet/"
            "inception-2015-12-05.tgz and unpack it there.",
        ),
    ],
)
def test_a_missing_file_is_named(tmp_path, name, told):
    assert reason(name.format(tmp_path)) == told.format(tmp_path)


@pytest.mark.parametrize(
    "name", ["keras:{}/net.keras", "onnx:{}/net.onnx", "yt8m:{}"]
)
@pytest.mark.parametrize("contents", [b"", b"no network" * 100])
def test_a_damaged_file_is_named(tmp_path, name, contents):
    for file in ("net.keras", "net.onnx", "classify_image_graph_def.pb"):
        (tmp_path / file).write_bytes(contents)
    told = reason(name.format(tmp_path))
    assert told.startswith(f"{tmp_path}/")
    assert " cannot be loaded: " in told


@pytest.mark.parametrize(
    ("written", "stated", "told"),
    [
        (
            {"dtype": "INT64"},
            {},
            "reads int64 [any, 3, 8, 8], not images: flo",
        ),
        (
            {"shape": ["n", 1, 8, 8]},
            {},
            "it reads float32 [any, 1, 8, 8], not images",
        ),
        ({"inputs": ("x", "y")}, {}, "it has 2 inputs, not one: x, y."),
        ({}, {"size": 9}, "takes images of 8x8 pixels, and image_size is 9"),
        ({"dtype": "UINT8"}, {"scale": "unit"}, "it takes bytes, and image_sc"),
        ({}, {"weights": "a.h5"}, "image_weights is for keras:NAME alone"),
    ],
)
def test_an_onnx_file_that_does_not_fit_is_refused(
    tmp_path, written, stated, told
):
    path = write_onnx(tmp_path / "net.onnx", **written)
    assert told in reason(f"onnx:{path}", **stated)


def test_an_unknown_tensor_lists_the_outputs(tmp_path):
    path = write_onnx(tmp_path / "net.onnx")
    assert reason(f"onnx:{path}#pool") == (
        f"{path} cannot be loaded: it has no tensor 'pool'; its outputs are "
        "features."
    )


def test_an_output_that_is_no_vector_or_map_is_refused(tmp_path):
    more = {"rows": lambda maps: tf.reduce_mean(maps, 1)}
    path = write_saved_model(tmp_path / "net", **more)
    name = f"saved_model:{path}#serving_default:rows"
    assert reason(name) == (
        f"{name} cannot run: its output is [1, 3, 5]: features are "
        "[n, d], or maps of four axes."
    )


def test_an_output_that_is_not_a_row_an_image_is_refused(tmp_path):
    more = {"first": lambda maps: tf.reduce_mean(maps, [1, 2])[:1]}
    path = write_saved_model(tmp_path / "net", **more)
    name = f"saved_model:{path}#serving_default:first"
    told = reason(name, batch_size=3)
    assert "cannot run: its output has 1 rows for 3 images." in told


def test_a_missing_signature_lists_those_that_there_are(tmp_path):
    path = write_saved_model(tmp_path / "net")
    told = reason(f"saved_model:{path}#predict")
    assert "no signature predict; it has serving_default" in told


def test_a_keras_file_needs_a_scale_and_a_layer_that_it_has(tmp_path):
    path = write_keras(tmp_path / "net.keras")
    told = "its pixels is not known: state image_scale, one of bytes, unit, "
    assert told in reason(f"keras:{path}")
    told = "it has no layer 'top'; its last ones are maps, global_average"
    assert told in reason(f"keras:{path}#top", scale="unit")


def test_a_keras_file_must_read_images(tmp_path):
    layers = [keras.Input((8,)), keras.layers.Dense(2)]
    keras.Sequential(layers).save(tmp_path / "net.keras")
    told = reason(f"keras:{tmp_path}/net.keras", scale="unit")
    assert "it reads float32 [any, 8], not images: floats or uint8 " in told


def test_code_in_a_keras_file_is_refused(tmp_path):
    layers = [keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: 2 * x)]
    keras.Sequential(layers).save(tmp_path / "net.keras")
    told = reason(f"keras:{tmp_path}/net.keras", scale="unit")
    assert "is a Python lambda" in told


def test_the_graph_of_youtube8m_decides_over_its_input(tmp_path):
    write_inception(tmp_path / "classify_image_graph_def.pb")
    for stated in ({"scale": "unit"}, {"size": 64}):
        told = reason(f"yt8m:{tmp_path}", **stated)
        assert "state no image_scale and no image_size." in told


def test_features_that_are_not_finite_are_refused(tmp_path):
    more = {"logs": lambda maps: tf.math.log(tf.reduce_min(maps, [1, 2]))}
    path = write_saved_model(tmp_path / "net", **more)
    network = load_image_network(f"saved_model:{path}#serving_default:logs")
    with pytest.raises(ValueError, match="makes a number that is not finite"):
        network(np.zeros_like(draw_images(2)))
