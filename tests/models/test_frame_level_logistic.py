"""The mean frame, classified, against NumPy and the starter code."""

import numpy as np

from distill.models.frame_level_logistic import FrameLevelLogisticModel
from distill.models.logistic import Logistic
from tests.golden import load_golden_model
from tests.layer_checks import check_frame_model
from tests.numpy_lstm import sigmoid
from tests.videos import build_for_frames, make_videos, real_frames

FEATURES, CLASSES = 3, 4


def make_model():
    return FrameLevelLogisticModel(Logistic(CLASSES, name="classifier"))


def test_frame_level_logistic_passes_the_model_checks():
    check_frame_model(
        make_model, num_features=FEATURES, max_frames=5, num_classes=CLASSES
    )


def test_the_mean_of_the_real_frames_is_classified():
    model, videos = build_for_frames(make_model(), FEATURES), make_videos(5, 3)
    mean = np.zeros((6, FEATURES))
    mean[1:] = [frames.mean(axis=0) for frames in real_frames(videos)[1:]]
    kernel, bias = model.classifier.get_weights()
    outputs = model(videos)
    np.testing.assert_allclose(outputs["embedding"], mean, atol=1e-6)
    np.testing.assert_allclose(
        outputs["predictions"], sigmoid(mean @ kernel + bias), atol=1e-6
    )


def test_golden_predictions_are_reproduced():
    golden = load_golden_model("frame_level_logistic")
    model = FrameLevelLogisticModel(Logistic(golden.num_classes))
    model(golden.inputs)
    layer = "fully_connected"
    model.classifier.set_weights(
        [golden.weights[f"{layer}/weights"], golden.weights[f"{layer}/biases"]]
    )
    np.testing.assert_allclose(
        model(golden.inputs)["predictions"],
        golden.outputs["predictions"],
        rtol=0,
        atol=1e-5,
    )


def test_macs_are_the_classifier_s():
    model = build_for_frames(make_model(), FEATURES)
    assert model.macs(300) == FEATURES * CLASSES
