"""What all models share."""

import json

import pytest

from distill.models.hierarchical_lstm import HierarchicalLstm
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.video_level import VideoLevelClassifier


@pytest.mark.parametrize(
    "model",
    [
        VideoLevelClassifier(MixtureOfExperts(7, 3, 0.5)),
        HierarchicalLstm(MixtureOfExperts(7, 3, 0.5), 4, num_inputs_to_lstm=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_config_holds_the_classifier_with_its_sizes(model):
    config = json.loads(json.dumps(model.get_config()))
    classifier = type(model).from_config(config).classifier
    assert isinstance(classifier, MixtureOfExperts)
    assert classifier is not model.classifier
    assert classifier.num_classes == 7
    assert classifier.moe_num_mixtures == 3
    assert classifier.moe_l2 == 0.5


def test_from_config_leaves_the_config_as_it_was():
    config = VideoLevelClassifier(MixtureOfExperts(7)).get_config()
    before = json.dumps(config)
    VideoLevelClassifier.from_config(config)
    assert json.dumps(config) == before
