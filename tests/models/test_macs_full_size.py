"""Cost and weights of the hierarchical LSTM at the reference's sizes."""

import pytest
import tensorflow as tf

from distill.models import registry

FRAME, CLASSES, CELLS = 1152, 4716, 1024
STATES = 2 * 2 * CELLS  # [c, h] of 2 layers
A_FRAME = 4 * CELLS * (FRAME + CELLS) + 4 * CELLS * (CELLS + CELLS)
A_BLOCK = 4 * CELLS * (STATES + CELLS) + 4 * CELLS * (CELLS + CELLS)
CLASSIFIER = STATES * CLASSES * (2 + 3)  # 2 experts, their gates and a dummy's


def build(max_frames, blocks):
    """Returns a model of the registry's sizes, without memory for weights."""
    with tf.Graph().as_default():
        model = registry.build_model(
            "HierarchicalLstmModel",
            arguments={"num_inputs_to_lstm": blocks},
            num_classes=CLASSES,
            feature_sizes=(1024, 128),
            max_frames=max_frames,
        )
        frames = (None, max_frames, FRAME)
        model.build({"frames": frames, "num_frames": (None,)})
    return model


def in_billions(*counts):
    return [round(count / 1e9, 2) for count in counts]


def test_the_teacher_s_parts_cost_what_was_derived():
    """One more frame and one more block give the cost of each part."""
    count = build(300, 20).macs
    a_frame = count(2) - count(1)
    a_block = count(16) - count(15) - a_frame  # blocks of 15
    assert (a_frame, a_block, count(0)) == (A_FRAME, A_BLOCK, CLASSIFIER)
    assert count(300) == 300 * A_FRAME + 20 * A_BLOCK + CLASSIFIER
    parts = (300 * a_frame, 20 * a_block, count(0))
    assert in_billions(*parts) == [5.19, 0.59, 0.10]


@pytest.mark.parametrize(("frames", "billions"), [(30, 0.76), (10, 0.42)])
def test_the_student_costs_what_was_derived_with_5_blocks(frames, billions):
    """Of 10 frames, blocks of 2: `num_inputs_to_lstm` 5, or 6 to 9 as well."""
    found = build(frames, 5).macs(frames)
    costs = {
        blocks: frames * A_FRAME + blocks * A_BLOCK + CLASSIFIER
        for blocks in range(1, frames + 1)
    }
    assert found == costs[5]
    rounded = dict(zip(costs, in_billions(*costs.values()), strict=True))
    assert [key for key in rounded if rounded[key] == billions] == [5]


@pytest.mark.parametrize(("frames", "blocks"), [(300, 20), (30, 5), (10, 5)])
def test_two_thirds_of_143_million_weights_are_the_classifier_s(frames, blocks):
    model = build(frames, blocks)
    lstms = (A_FRAME + A_BLOCK) + 4 * 4 * CELLS  # a bias for each of 4 layers
    classifier = CLASSIFIER + 2 * CLASSES
    assert model.count_params() == lstms + classifier
    assert model.classifier.count_params() == classifier
    assert round((lstms + classifier) / 1e6) == 143
    assert round(classifier / 1e6) == 97
