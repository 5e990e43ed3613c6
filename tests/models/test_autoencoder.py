"""The feature autoencoder against NumPy."""

import numpy as np
import pytest

from distill.models.autoencoder import (
    FeatureAutoencoder,
    FeatureCoder,
    make_encoder,
)
from tests.layer_checks import (
    check_any_batch_size,
    check_config,
    check_layer,
    randomise_weights,
)

FEATURES = 6


def make_built(encoder_sizes="5,3"):
    model = FeatureAutoencoder(FEATURES, encoder_sizes)
    model.build({"frames": (None, 7, FEATURES)})
    randomise_weights(model)
    return model


def make_frames(batch_size=4):
    rng = np.random.default_rng(1)
    return rng.normal(size=(batch_size, 7, FEATURES)).astype(np.float32)


def numpy_coder(values, weights):
    kernels, biases = weights[::2], weights[1::2]
    for index, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        values = values @ kernel + bias
        if index < len(kernels) - 1:
            values = np.maximum(values, 0)
    return values


@pytest.mark.parametrize("sizes", [[4], [5, 4, 3]])
def test_feature_coder_passes_the_layer_checks(sizes):
    def make_arguments(batch_size):
        return (make_frames(batch_size)[:, 0],)

    check_layer(lambda: FeatureCoder(sizes), make_arguments)


@pytest.mark.parametrize("key", ["frames", "features"])
def test_codes_and_reconstructions_are_those_of_numpy(key):
    model = make_built()
    values = make_frames() if key == "frames" else make_frames()[:, 0]
    code = numpy_coder(values, model.encoder.get_weights())
    expected = numpy_coder(code, model.decoder.get_weights())
    outputs = model({key: values})
    np.testing.assert_allclose(outputs["code"], code, atol=1e-5)
    np.testing.assert_allclose(outputs["reconstruction"], expected, atol=1e-4)
    assert code.min() < 0 < code.max()


def test_the_decoder_mirrors_the_encoder():
    model = make_built("5,4,3")
    shapes = [w.shape for w in model.get_weights() if w.ndim == 2]
    assert shapes == [(6, 5), (5, 4), (4, 3), (3, 4), (4, 5), (5, 6)]
    shapes = [w.shape for w in make_built("2").get_weights() if w.ndim == 2]
    assert shapes == [(6, 2), (2, 6)]


def test_autoencoder_keeps_its_arguments_and_serves_any_batch():
    check_config(lambda: FeatureAutoencoder(FEATURES, "5,3"))
    check_any_batch_size(make_built(), ({"frames": make_frames(5)},))


def test_what_is_no_list_of_sizes_is_an_error():
    with pytest.raises(ValueError, match=r"encoder_sizes must be .*'5;3'"):
        make_encoder("5;3")
