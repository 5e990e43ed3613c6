"""Models that are a classifier alone."""

import numpy as np
import pytest

from distill.models.logistic import Logistic
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.video_level import (
    FrameLevelLogisticModel,
    VideoLevelClassifier,
)
from tests.layer_checks import (
    check_frame_model,
    check_video_model,
    randomise_weights,
)
from tests.videos import (
    CLASSES,
    assert_classified,
    build_for_frames,
    make_model,
    make_vectors,
    make_videos,
    real_frames,
)

FEATURES = 6


@pytest.mark.parametrize("classifier", [Logistic, MixtureOfExperts])
def test_video_level_classifier_passes_the_model_checks(classifier):
    check_video_model(
        lambda: VideoLevelClassifier(classifier(CLASSES)), FEATURES
    )


def test_frame_level_logistic_passes_the_model_checks():
    check_frame_model(lambda: make_model(FrameLevelLogisticModel), FEATURES, 5)


def test_a_video_s_features_are_classified():
    model = make_model(VideoLevelClassifier)
    model.build({"features": (None, FEATURES)})
    randomise_weights(model)
    (features,) = make_vectors(3)
    assert_classified(model, model({"features": features}), features)


def test_the_mean_of_the_real_frames_is_classified():
    model = build_for_frames(make_model(FrameLevelLogisticModel), FEATURES)
    videos = make_videos(5, FEATURES)
    mean = np.zeros((6, FEATURES))
    mean[1:] = [frames.mean(axis=0) for frames in real_frames(videos)[1:]]
    assert_classified(model, model(videos), mean, atol=1e-6)
