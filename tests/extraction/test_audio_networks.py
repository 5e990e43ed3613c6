"""Networks of sound by name and file, against NumPy."""

import itertools

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.extraction.audio_networks import load_audio_network
from distill.system.digests import path_hash
from tests.extraction.network_programs import save_onnx, save_saved_model

# Keras itself gives NumPy variables so when it writes a file.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
NUM_FEATURES = 7


def draw_patches(count, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(-1, 2, (count, 96, 64)).astype(np.float32)


def draw_weights(seed=1):
    random = np.random.default_rng(seed)
    return random.normal(0, 0.01, (96 * 64, NUM_FEATURES)).astype(np.float32)


def save_keras(path):
    """Writes a convolution of 3 windows by 5 bands and a dense layer."""
    model = keras.Sequential(
        [
            keras.Input((96, 64, 1)),
            keras.layers.Conv2D(4, (3, 5), strides=(3, 5), activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(NUM_FEATURES),
        ]
    )
    model.save(path)
    return model


FILES = {
    "onnx:a.onnx": lambda: save_onnx("a.onnx", ["n", 96, 64], draw_weights()),
    "onnx:b.onnx": lambda: save_onnx("b.onnx", [1, 1, 96, 64], draw_weights()),
    "saved_model:c": lambda: save_saved_model(
        "c", [None, 96, 64, 1], draw_weights()
    ),
    "saved_model:d": lambda: save_saved_model(
        "d", [1, 96, None], draw_weights()
    ),
    "keras:e.keras": lambda: save_keras("e.keras"),
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_log_mel_is_mean_and_deviation_of_each_band():
    network = load_audio_network("log_mel")
    patches = draw_patches(5)
    found = network(patches)
    exact = patches.astype(np.float64)
    expected = np.hstack([exact.mean(axis=1), exact.std(axis=1)])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert found.dtype == np.float32
    assert network.num_features == found.shape[1] == 128
    assert network.macs == 0
    assert network.identity == "log_mel"


@pytest.mark.parametrize("name", [*FILES, "log_mel"])
def test_features_of_a_patch_do_not_depend_on_the_others(name):
    FILES.get(name, lambda: None)()
    network, patches = load_audio_network(name), draw_patches(9)
    every = network(patches)
    assert every.shape == (9, network.num_features)
    assert every.dtype == np.float32
    for chosen in ([4], [8, 0], [1, 2, 3, 4, 5]):
        np.testing.assert_array_equal(network(patches[chosen]), every[chosen])
    assert network(patches[:0]).shape == (0, network.num_features)


@pytest.mark.parametrize("name", [n for n in FILES if "keras" not in n])
def test_a_patch_is_read_in_the_layout_of_the_file(name):
    FILES[name]()
    network, patches = load_audio_network(name), draw_patches(4)
    expected = patches.reshape(4, -1).astype(np.float64) @ draw_weights()
    np.testing.assert_allclose(network(patches), expected, atol=1e-4)
    assert network.num_features == NUM_FEATURES
    kind, _, path = name.partition(":")
    assert network.identity == f"{kind}:{path} {path_hash(path)}"


def test_a_keras_file_is_its_model_and_its_macs_are_counted():
    model = save_keras("e.keras")
    network, patches = load_audio_network("keras:e.keras"), draw_patches(4)
    expected = model(patches[..., None])
    np.testing.assert_allclose(network(patches), expected, atol=1e-5)
    positions = (96 // 3) * (64 // 5)
    assert network.macs == positions * 4 * (3 * 5 + NUM_FEATURES)


# VGGish: kernels by layer, as the release's program has them.
CHANNELS = (1, 64, 128, 256, 256, 512, 512)
UNITS = (6 * 4 * 512, 4096, 4096, 128)
SHAPES = [
    *((3, 3, *pair) for pair in itertools.pairwise(CHANNELS)),
    *itertools.pairwise(UNITS),
]
NAMES = (
    *("conv1", "conv2", "conv3/conv3_1", "conv3/conv3_2"),
    *("conv4/conv4_1", "conv4/conv4_2", "fc1/fc1_1", "fc1/fc1_2", "fc2"),
)
# Units of the dense layers that hold a number, all others are zero.
BLOCK, FIRST, SECOND, OUT = (2, 3), 4_000, 17, 99
BIAS = 0.25


def write_vggish_weights(path):
    """Writes weights as Keras 2 did: almost all zero, so that it is small."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.replace("/", "_") for name in NAMES]
        for name, shape in zip(NAMES, SHAPES, strict=True):
            group = file.create_group(name.replace("/", "_"))
            group.attrs["weight_names"] = ["kernel:0", "bias:0"]
            kernel = group.create_dataset(
                "kernel:0", shape, np.float32, chunks=True
            )
            for place, value in numbers_of(name):
                kernel[place] = value
            group["bias:0"] = np.full(
                shape[-1], BIAS if name == "fc2" else 0, np.float32
            )


def numbers_of(name):
    """Returns the places and values of a kernel that are not zero."""
    row = (BLOCK[0] * 4 + BLOCK[1]) * 512
    return {
        # The input, and with its sign changed.
        "conv1": [((1, 1, 0, 0), 1), ((1, 1, 0, 1), -1)],
        "fc1/fc1_1": [((row, FIRST), 2), ((row + 1, FIRST), 3)],
        "fc1/fc1_2": [((FIRST, SECOND), 0.5)],
        "fc2": [((SECOND, OUT), -1)],
    }.get(name, [((1, 1, 0, 0), 1), ((1, 1, 1, 1), 1)])


def test_vggish_is_the_published_architecture():
    write_vggish_weights("vggish.h5")
    network, patches = load_audio_network("keras:vggish.h5"), draw_patches(3)
    found = network(patches)
    # Four halvings leave the greatest number of each 16 windows by 16 bands.
    blocks = patches.reshape(3, 6, 16, 4, 16)
    high = np.maximum(blocks.max(axis=(2, 4)), 0)[:, *BLOCK]
    low = np.maximum(-blocks.min(axis=(2, 4)), 0)[:, *BLOCK]
    expected = np.full((3, 128), BIAS)
    expected[:, OUT] -= 0.5 * (2 * high + 3 * low)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.min() < 0  # no activation at the end
    assert network.macs == 863_895_552
    alone = network(patches[2:])
    np.testing.assert_array_equal(alone[0], found[2])


@pytest.mark.slow
def test_vggish_reads_the_checkpoint_of_the_release():
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session() as session:
        for name, shape in zip(NAMES, SHAPES, strict=True):
            kernel = np.zeros(shape, np.float32)
            for place, value in numbers_of(name):
                kernel[place] = value
            bias = np.full(shape[-1], BIAS if name == "fc2" else 0, np.float32)
            # Assigned from arrays that are fed: a graph holds 2 GB at most.
            for kind, value in (("weights", kernel), ("biases", bias)):
                variable = tf.compat.v1.get_variable(
                    f"vggish/{name}/{kind}",
                    value.shape,
                    initializer=tf.compat.v1.zeros_initializer(),
                    use_resource=False,
                )
                session.run(variable.initializer)
                variable.load(value, session)
        saver = tf.compat.v1.train.Saver(
            write_version=tf.compat.v1.train.SaverDef.V1
        )
        saver.save(session, "vggish_model.ckpt", write_meta_graph=False)
    write_vggish_weights("vggish.h5")
    patches = draw_patches(2)
    found = load_audio_network("keras:vggish_model.ckpt")(patches)
    expected = load_audio_network("keras:vggish.h5")(patches)
    np.testing.assert_array_equal(found, expected)


def write(path, contents=b"no network"):
    with open(path, "wb") as file:
        file.write(contents)


def save_two_outputs(path):
    inputs = keras.Input((96, 64))
    flat = keras.layers.Flatten()(inputs)
    keras.Model(inputs, [flat, keras.layers.Dense(2)(flat)]).save(path)


def save_shape(path, shape, *layers):
    keras.Sequential([keras.Input(shape), *layers]).save(path)


@pytest.mark.parametrize(
    ("name", "prepare", "message"),
    [
        (
            "vggish",
            None,
            "'vggish' is no network: give log_mel, onnx:FILE, sav",
        ),
        ("onnx:", None, "'onnx:' is no network: give log_mel"),
        ("tflite:a", None, "'tflite:a' is no network"),
        ("onnx:no.onnx", None, "There is no no.onnx."),
        ("saved_model:no", None, "There is no no."),
        (
            "keras:no.h5",
            None,
            "There is no no.h5: download VGGish from https://storage.googleapi",
        ),
        ("onnx:a", lambda: write("a"), "a cannot be loaded: .*[Pp]rotobuf"),
        ("saved_model:a", lambda: write("a"), "a cannot be loaded: "),
        ("keras:a", lambda: write("a"), "its name does not end in .keras."),
        ("keras:a.keras", lambda: write("a.keras"), "a.keras cannot be loaded"),
        ("keras:a.h5", lambda: write("a.h5"), "a.h5 cannot be loaded: "),
        ("keras:a.ckpt", lambda: write("a.ckpt"), "a.ckpt cannot be loaded: "),
        (
            "keras:a.keras",
            lambda: save_two_outputs("a.keras"),
            "a.keras cannot be loaded: it has 2 outputs, not one.",
        ),
        (
            "keras:a.keras",
            lambda: save_shape("a.keras", (64, 96, 1), keras.layers.Flatten()),
            r"a.keras reads float32 \[any, 64, 96, 1\]; it must read patches",
        ),
        (
            "keras:a.keras",
            lambda: save_shape(
                "a.keras", (None, None, None), keras.layers.Flatten()
            ),
            r"reads float32 \[any, any, any, any\]; it must read patches",
        ),
        (
            "keras:a.keras",
            lambda: save_shape("a.keras", (96, 64), keras.layers.ReLU()),
            r"a.keras makes float32 \[1, 96, 64\] of an example, not a list",
        ),
        (
            "onnx:a.onnx",
            lambda: save_onnx("a.onnx", [8, 96, 64], draw_weights()),
            "a.onnx takes batches of 8 alone; it must take those of one exa",
        ),
        (
            "onnx:a.onnx",
            lambda: save_onnx("a.onnx", ["n", 6_144], draw_weights()),
            r"a.onnx reads float32 \[any, 6144\]; it must read patches",
        ),
    ],
)
def test_an_error_is_one_line_that_names_the_file(name, prepare, message):
    if prepare:
        prepare()
    with pytest.raises(ValueError, match=message) as caught:
        load_audio_network(name)
    assert "\n" not in str(caught.value)


def test_numbers_that_are_not_finite_are_refused():
    weights = draw_weights()
    weights[5, 2] = np.inf
    save_onnx("a.onnx", ["n", 96, 64], weights)
    network = load_audio_network("onnx:a.onnx")
    with pytest.raises(ValueError, match=r"a\.onnx makes a number that is not"):
        network(draw_patches(2))
