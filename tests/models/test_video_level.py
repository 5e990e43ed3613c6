"""A classifier on its own."""

import numpy as np
import pytest

from distill.models.logistic import Logistic
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.video_level import VideoLevelClassifier
from tests.layer_checks import check_video_model, randomise_weights

FEATURES, CLASSES = 6, 4


@pytest.mark.parametrize("classifier", [Logistic, MixtureOfExperts])
def test_video_level_classifier_passes_the_model_checks(classifier):
    check_video_model(
        lambda: VideoLevelClassifier(classifier(CLASSES)),
        num_features=FEATURES,
        num_classes=CLASSES,
    )


def test_predictions_are_the_classifier_s_and_the_embedding_the_features():
    model = VideoLevelClassifier(Logistic(CLASSES))
    model.build({"features": (None, FEATURES)})
    randomise_weights(model)
    features = np.random.default_rng(1).normal(size=(3, FEATURES))
    features = features.astype(np.float32)
    outputs = model({"features": features})
    kernel, bias = model.classifier.get_weights()
    expected = 1 / (1 + np.exp(-(features @ kernel + bias)))
    np.testing.assert_array_equal(outputs["embedding"], features)
    np.testing.assert_allclose(outputs["predictions"], expected, atol=1e-6)


def test_macs_do_not_depend_on_the_frames():
    model = VideoLevelClassifier(Logistic(CLASSES))
    model.build({"features": (None, FEATURES)})
    assert model.macs(1) == FEATURES * CLASSES
    assert model.macs(300) == FEATURES * CLASSES
