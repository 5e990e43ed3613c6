"""Applications of Keras by name: sizes, scales, weights, what is missing."""

import keras
import numpy as np
import pytest
from keras.src.applications import imagenet_utils

from distill.extraction.image_networks import load_image_network
from distill.extraction.keras_applications import default_size
from distill.models import keras_private
from tests.extraction.small_networks import draw_images

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
SIZE = 32
APPLICATIONS = [n for n in dir(keras.applications) if n[0].isupper()]


@pytest.fixture(scope="module")
def mobile_net(tmp_path_factory):
    """A network whose batch norms do something, and files of its weights."""
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNet(
        include_top=False,
        weights=None,
        pooling="avg",
        input_shape=(SIZE, SIZE, 3),
    )
    random = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            sizes = [each.shape for each in layer.weights]
            layer.set_weights([random.uniform(0.5, 1.5, s) for s in sizes])
    folder = tmp_path_factory.mktemp("weights")
    network.save_weights(folder / "mobile.weights.h5")
    network.save(folder / "mobile_legacy.h5")
    return network, folder


def expected_features(network, images):
    pixels = images.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return network(pixels, training=False).numpy()


@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_application_takes_weights_of_a_file(mobile_net, batch_size):
    network, folder = mobile_net
    read = load_image_network(
        "keras:MobileNet",
        str(folder / "mobile.weights.h5"),
        size=SIZE,
        batch_size=batch_size,
    )
    images = draw_images(7, SIZE, SIZE)
    found, expected = read(images), expected_features(network, images)
    assert found.shape == (7, 1024)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(found) > 0.1
    alone = [read(image[None])[0] for image in images]
    np.testing.assert_array_equal(found, alone)
    # Howard et al. 2017, table 8: of 224x224 pixels, and with the classifier.
    assert round((read.macs * 7**2 + 1024 * 1000) / 1e6) == 569


def test_the_weights_that_keras_keeps_are_used(
    mobile_net, tmp_path, monkeypatch
):
    network, folder = mobile_net
    kept = tmp_path / "models" / "mobilenet_1_0_224_tf_no_top.h5"
    kept.parent.mkdir()
    kept.write_bytes((folder / "mobile_legacy.h5").read_bytes())
    use_keras_home(tmp_path, monkeypatch)
    with pytest.warns(UserWarning, match="will be loaded as the default"):
        read = load_image_network("keras:MobileNet", size=SIZE)
    images = draw_images(1, SIZE, SIZE)
    expected = expected_features(network, images)
    np.testing.assert_allclose(read(images), expected, rtol=1e-4, atol=1e-5)


def test_missing_weights_are_told_with_place_and_url(tmp_path, monkeypatch):
    use_keras_home(tmp_path, monkeypatch)
    downloads = keras_private.file_utils.get_file
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_image_network("keras:MobileNet")
    file = "mobilenet_1_0_224_tf_no_top.h5"
    assert str(error.value) == (
        f"keras:MobileNet: There is no {tmp_path}/models/{file}: download "
        "https://storage.googleapis.com/tensorflow/keras-applications/"
        f"mobilenet/{file} to there, or state a file of your own as "
        "image_weights."
    )
    assert not [*tmp_path.iterdir()]
    assert keras_private.file_utils.get_file is downloads


def test_weights_of_another_hash_are_refused(tmp_path, monkeypatch):
    use_keras_home(tmp_path, monkeypatch)
    file = "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"
    kept = tmp_path / "models" / file
    kept.parent.mkdir()
    kept.write_bytes(b"other")
    with pytest.raises(ValueError, match=f"{file} is damaged, or another file"):
        load_image_network("keras:MobileNetV3Small")


def use_keras_home(folder, monkeypatch):
    config = keras_private.file_utils.config
    monkeypatch.setattr(config, "keras_home", lambda: str(folder))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_default_size_is_that_of_keras(name, monkeypatch):
    class Found(Exception):
        """The size that Keras would choose."""

    def obtain(*_, default_size, **__):
        raise Found(default_size)

    monkeypatch.setattr(imagenet_utils, "obtain_input_shape", obtain)
    if name.startswith("MobileNetV3"):  # it takes a size by itself
        assert default_size(name) == 224
        return
    with pytest.raises(Found) as found:
        getattr(keras.applications, name)(weights=None, include_top=False)
    assert found.value.args == (default_size(name),)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("missing.weights.h5", "There is no .*/missing"),
        ("mobile.pt", r"ends in .weights.h5 or .h5, got"),
        ("cut.weights.h5", r"cut.weights.h5 cannot be loaded: .*truncated"),
        ("other.weights.h5", r"other.weights.h5 cannot be loaded: it lacks w"),
    ],
)
def test_other_weights_are_refused(mobile_net, file, reason):
    _, folder = mobile_net
    contents = (folder / "mobile.weights.h5").read_bytes()
    (folder / "cut.weights.h5").write_bytes(contents[:9999])
    (folder / "mobile.pt").touch()
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save_weights(folder / "other.weights.h5")
    with pytest.raises(ValueError, match=f"^keras:MobileNet: .*{reason}"):
        load_image_network("keras:MobileNet", str(folder / file), size=SIZE)
