"""Image networks of every kind against NumPy, and their errors."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from distill.extraction.extractor import VideoExtractor
from distill.extraction.image_input import SCALES
from distill.extraction.image_networks import load_image_network
from distill.settings.extraction import ExtractorSettings
from distill.settings.video import VideoSettings
from distill.video.decoder import VideoFile
from tests.extraction.small_networks import (
    MACS,
    NUM_FEATURES,
    draw_images,
    features_by_hand,
    inception_by_hand,
    write_inception,
    write_keras,
    write_onnx,
    write_saved_model,
)
from tests.video.drawn_videos import draw_video

# Keras saves models by NumPy's older interface.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SCALED = {
    "bytes": lambda pixels: pixels,
    "unit": lambda pixels: pixels / 255,
    "symmetric": lambda pixels: pixels / 127.5 - 1,
    "imagenet": lambda pixels: (pixels / 255 - MEAN) / DEVIATION,
    "caffe": lambda pixels: pixels[..., ::-1] - [103.939, 116.779, 123.68],
}
# A network's kind, its writer, and the scale that it has unless one is stated.
KINDS = {
    "keras": ("small.keras", write_keras, None),
    "onnx": ("small.onnx", write_onnx, "imagenet"),
    "saved_model": ("small", write_saved_model, "unit"),
}


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """Names of the small network in every form."""
    folder = tmp_path_factory.mktemp("networks")
    return {
        kind: f"{kind}:{write(folder / file)}"
        for kind, (file, write, _) in KINDS.items()
    }


def test_the_settings_state_the_scales():
    fields = {f.name: f for f in dataclasses.fields(ExtractorSettings)}
    assert {*fields["image_scale"].metadata["choices"]} == {*SCALED, *SCALES}


def assert_features(network, images, expected):
    found = network(images)
    assert found.dtype == np.float32
    assert found.shape == (len(images), network.num_features)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", SCALED)
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_scaled_pixels(names, kind, scale):
    network = load_image_network(names[kind], scale=scale)
    images = draw_images(3)
    assert network.input_size == (8, 8)
    assert_features(network, images, features_by_hand(SCALED[scale](images)))


@pytest.mark.parametrize("kind", ["onnx", "saved_model"])
def test_a_kind_has_a_scale_of_its_own(names, kind):
    images = draw_images(2)
    pixels = SCALED[KINDS[kind][2]](images)
    network = load_image_network(names[kind])
    assert_features(network, images, features_by_hand(pixels))


def test_macs_are_those_of_sums_of_products(names):
    assert load_image_network(names["keras"], scale="unit").macs == MACS
    assert load_image_network(names["onnx"]).macs is None


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_features_do_not_depend_on_the_batch(names, kind, batch_size):
    network = load_image_network(
        names[kind], scale="imagenet", batch_size=batch_size
    )
    images = draw_images(9)
    together = network(images)
    alone = [network(image[None])[0] for image in images]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together[2:], network(images[2:]))
    assert network(images[:0]).shape == (0, NUM_FEATURES)


@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("dtype", ["FLOAT", "UINT8"])
def test_onnx_inputs_have_their_layout_and_type(tmp_path, layout, dtype):
    path = write_onnx(tmp_path / "net.onnx", layout, dtype=dtype)
    images = draw_images(2)
    network = load_image_network(
        f"onnx:{path}", scale="bytes" if dtype == "FLOAT" else None
    )
    assert_features(network, images, features_by_hand(images))


@pytest.mark.parametrize("layout", ["first", "last"])
def test_maps_of_an_inner_tensor_are_averaged(tmp_path, layout):
    path = write_onnx(tmp_path / "net.onnx", layout)
    network = load_image_network(f"onnx:{path}#maps", scale="unit")
    images = draw_images(2)
    assert_features(network, images, features_by_hand(images / 255))


def test_maps_of_a_layer_are_averaged(names):
    network = load_image_network(f"{names['keras']}#maps", scale="unit")
    images = draw_images(2)
    assert_features(network, images, features_by_hand(images / 255))


def test_what_an_inner_tensor_does_not_need_is_not_run(tmp_path):
    onnx = pytest.importorskip("onnx")
    path = write_onnx(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    model.graph.node[4].op_type = "NoSuchOperation"
    onnx.save(model, str(path))
    with pytest.raises(ValueError, match="NoSuchOperation"):
        load_image_network(f"onnx:{path}")
    load_image_network(f"onnx:{path}#maps")


def test_a_network_of_one_batch_size_keeps_it(tmp_path):
    path = write_onnx(tmp_path / "net.onnx", shape=[2, 3, 8, 8])
    network = load_image_network(f"onnx:{path}", scale="bytes", batch_size=16)
    images = draw_images(5)
    assert_features(network, images, features_by_hand(images))


def test_a_network_of_any_size_takes_the_stated_one(tmp_path):
    path = write_onnx(tmp_path / "net.onnx", shape=["n", 3, "height", "width"])
    with pytest.raises(ValueError, match=r"any size: state image_size\.$"):
        load_image_network(f"onnx:{path}")
    network = load_image_network(f"onnx:{path}", scale="bytes", size=12)
    assert network.input_size == (12, 12)
    images = draw_images(2, 12, 12)
    assert_features(network, images, features_by_hand(images))


def test_weights_of_onnx_may_stand_in_a_file_beside_it(tmp_path):
    onnx = pytest.importorskip("onnx")
    path = write_onnx(tmp_path / "net.onnx")
    model, name = onnx.load(str(path)), f"onnx:{path}"
    onnx.save(
        *(model, str(path)),
        save_as_external_data=True,
        location="net.data",
        size_threshold=0,
    )
    network, images = load_image_network(name, scale="bytes"), draw_images(2)
    assert_features(network, images, features_by_hand(images))
    data = tmp_path / "net.data"
    data.write_bytes(np.frombuffer(data.read_bytes(), "f4")[::-1].tobytes())
    changed = load_image_network(name, scale="bytes")
    assert changed.identity != network.identity
    assert np.abs(changed(images) - network(images)).max() > 1


def test_one_of_several_outputs_of_a_saved_model_is_named(tmp_path):
    path = write_saved_model(tmp_path / "net", tf.uint8, maps=tf.identity)
    name, images = f"saved_model:{path}#serving_default", draw_images(2)
    with pytest.raises(ValueError, match="2 outputs, not one: features, maps"):
        load_image_network(name)
    maps = load_image_network(f"{name}:maps")
    assert_features(maps, images, features_by_hand(images))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (20, 31), (5, 7)])
def test_the_network_of_youtube8m_scales_images_itself(tmp_path, height, width):
    write_inception(tmp_path / "classify_image_graph_def.pb")
    network = load_image_network(f"yt8m:{tmp_path}")
    images = draw_images(3, height, width)
    assert network.any_size
    assert network.input_size == (299, 299)
    assert network.macs == MACS
    expected = [inception_by_hand(image) for image in images]
    assert_features(network, images, expected)
    np.testing.assert_array_equal(network(images)[2:], network(images[2:]))


def test_frames_come_to_it_in_their_own_size(tmp_path):
    write_inception(tmp_path / "classify_image_graph_def.pb")
    path = draw_video(tmp_path / "a.mp4", range(0, 2_000, 40), width=96)
    video = VideoFile(path, VideoSettings())
    frames = [*video.frames([0, 1], (64, 96))]
    settings = ExtractorSettings(image_network=f"yt8m:{tmp_path}")
    found = VideoExtractor(settings, 1.0).features(video, [0, 1])
    expected = [inception_by_hand(frame) for frame in frames]
    np.testing.assert_allclose(found["rgb"], expected, rtol=1e-5, atol=1e-5)


def test_the_identity_tells_what_decides_over_features(tmp_path, names):
    def identity(name=names["onnx"], **stated):
        return load_image_network(name, **stated).identity

    moved = tmp_path / "small.onnx"
    shutil.copy(names["onnx"].removeprefix("onnx:"), moved)
    assert identity(f"onnx:{moved}") == identity() == identity(scale="imagenet")
    others = [
        identity(scale="unit"),
        identity(batch_size=2),
        identity(f"{names['onnx']}#maps"),
        identity(f"onnx:{write_onnx(moved, 'last')}"),
    ]
    assert len({identity(), *others}) == 5


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 8, 9, 3), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
    ],
)
def test_other_images_are_refused(names, images):
    network = load_image_network(names["onnx"])
    with pytest.raises(ValueError, match=r"uint8 \[n, 8, 8, 3\], got "):
        network(images)
