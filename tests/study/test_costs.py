"""A study's costs: frames, bytes and the graph from records to answers."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.study.costs import Costs, make_records, predict_records
from distill.study.plan import Study, Unit
from distill.study.results import gather_results
from tests.training.tiny_networks import (
    MAX_FRAMES,
    SCHEMA,
    make_student,
    network_settings,
    run_settings,
)

FRAMES = FrameBudget("uniform_k", num_frames=3)
MEANS = FrameBudget("segment_means", num_frames=3)
ATTENTION = FrameBudget("segment_attention", num_frames=3)
# A frame of the tiny videos.
NUM_BYTES = 5


def make_unit(directory, name, budget, schema=SCHEMA):
    settings = run_settings(network_settings(budget))
    k = budget.width(MAX_FRAMES)
    return Unit(
        name,
        budget.num_frames,
        0,
        directory / name,
        (dataclasses.replace(settings, data=schema),),
        {k: budget},
        "unused",
    )


def test_frames_needed_and_classified_are_told_apart(tmp_path):
    make = functools.partial(make_unit, tmp_path)
    units = (
        make("Frames", FRAMES),
        make("Means", MEANS),
        make("Attention", ATTENTION),
    )
    study = Study(
        directory=tmp_path,
        teachers=(make("Teacher", ALL_FRAMES),),
        units=units,
        budgets=(3,),
        baseline="Frames",
        command="",
        flags={"Frames": "", "Means": "", "Attention": ""},
    )
    results = gather_results(study)
    teacher = results["teacher"]["cost"]
    frames, means, attention = (row["costs"]["3"] for row in results["rows"])
    found = [
        (cost["frames_needed"], cost["frames"], cost["bytes_read"])
        for cost in (teacher, frames, means, attention)
    ]
    assert found == [
        (MAX_FRAMES, MAX_FRAMES, MAX_FRAMES * NUM_BYTES),
        (3, 3, 3 * NUM_BYTES),
        (MAX_FRAMES, 3, 3 * NUM_BYTES),
        (MAX_FRAMES, 3, MAX_FRAMES * NUM_BYTES),
    ]
    assert means["macs"] == frames["macs"] < attention["macs"]
    assert means["macs"] < teacher["macs"]
    averages = [row["averages"] for row in results["rows"]]
    assert averages == [{"3": False}, {"3": True}, {"3": True}]
    for name in ("milliseconds_at_1", "milliseconds_at_64"):
        assert 0 < means[f"{name}_low"] <= means[name] <= means[f"{name}_high"]
        assert means[f"call_{name}"] > 0
    # They are read again, not measured.
    assert Costs(tmp_path / "costs.json").measure(units[1], 3) == means


def test_a_value_of_float_frames_has_four_bytes(tmp_path):
    schema = dataclasses.replace(SCHEMA, float_frames=True)
    unit = make_unit(tmp_path, "Means", MEANS, schema)
    cost = Costs(tmp_path / "costs.json").measure(unit, 3)
    assert cost["bytes_read"] == 3 * NUM_BYTES * 4


@pytest.mark.parametrize("budget", [FRAMES, MEANS], ids=lambda b: b.selection)
def test_times_are_of_predictions_of_whole_records(budget):
    network = make_student(budget=budget)
    records = make_records(SCHEMA, 3)
    chosen = []
    for record in records.numpy():
        message = tf.train.SequenceExample.FromString(record)
        lists = message.feature_lists.feature_list
        video = np.concatenate(
            [
                [
                    np.frombuffer(frame.bytes_list.value[0], np.uint8)
                    for frame in lists[name].feature
                ]
                for name in SCHEMA.feature_names
            ],
            axis=1,
        )
        assert len(video) == MAX_FRAMES
        # The middles of three parts of two frames, or their means.
        parts = video.reshape(3, 2, NUM_BYTES)
        chosen.append(parts.mean(1) if budget.averages else parts[:, 1])
    frames = np.array(chosen) * (4 / 255) + 4 / 512 - 2
    frames /= np.linalg.norm(frames, axis=2, keepdims=True)
    inputs = {"frames": frames.astype("f"), "num_frames": np.full(3, 3)}
    expected = network.model(inputs)["predictions"]
    found = predict_records(network, records)
    np.testing.assert_allclose(found, expected, atol=1e-6)
