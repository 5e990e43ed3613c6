"""Ensembles against their members' predictions, averaged by hand."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from stage_runs import (
    BATCH_SIZE,
    NUM_CLASSES,
    error_line,
    frame_schema,
    logistic_settings,
    predict_all,
    run_script,
    train_in_process,
)
from stored_files import true_labels

from distill.checkpoints.checkpoint import CheckpointError
from distill.evaluation.ensemble_building import (
    KeptPredictions,
    build_ensemble,
    search_weights,
)
from distill.evaluation.evaluate import (
    Prediction,
    evaluate_checkpoint,
    predict_videos,
)
from distill.evaluation.inference import write_predictions
from distill.evaluation.prediction_files.files import read_predictions
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.networks.ensemble import read_data_schema
from distill.networks.ensemble_file import (
    Ensemble,
    Member,
    parse_member,
    parse_weights,
)
from distill.networks.loading import load_network
from tests import plain_metrics

LAST = "checkpoint-00000005.h5"


def train(videos, directory, budget, **changes):
    """Trains a logistic model for an epoch and returns its checkpoint."""
    settings = logistic_settings(videos, budget, base_learning_rate=0.3)
    data = dataclasses.replace(settings.data, **changes)
    train_in_process(dataclasses.replace(settings, data=data), directory)
    return str(directory / LAST)


@pytest.fixture(scope="module")
def members(videos, joint_checkpoint, tmp_path_factory):
    """Returns networks of other kinds and budgets, a joint run's teacher too.

    The first one is the best.
    """
    directory = tmp_path_factory.mktemp("members")
    few = FrameBudget("last_k", num_frames=3)
    return (
        Member(train(videos, directory / "all", ALL_FRAMES), "student", 0.5),
        Member(train(videos, directory / "few", few), "student", 0.2),
        Member(str(joint_checkpoint), "teacher", 0.3),
    )


@pytest.fixture(scope="module")
def ensemble_file(members, tmp_path_factory):
    path = tmp_path_factory.mktemp("ensembles") / "e.json"
    Ensemble(members).write(path)
    return path


def load(member):
    return load_network(member.checkpoint, member.role)


def test_one_member_is_its_network_bit_for_bit(members, reader, tmp_path):
    for index, member in enumerate(members):
        path = tmp_path / f"{index}.json"
        Ensemble((member,)).write(path)
        ids, found = predict_all(load_network(path, "student"), reader)
        expected_ids, expected = predict_all(load(member), reader)
        assert ids == expected_ids
        np.testing.assert_array_equal(found, expected)


def test_predictions_are_the_mean_of_the_members_csv_files(
    members, ensemble_file, reader, tmp_path
):
    """Every member's script-made CSV, averaged in plain Python."""
    totals = {}
    for member in members:
        path = tmp_path / "member.csv"
        predictions = predict_videos(load(member), reader)
        list(write_predictions(path, predictions, NUM_CLASSES))
        for video in read_predictions([path]):
            row = totals.setdefault(video.video_id, np.zeros(NUM_CLASSES))
            row[video.classes] += member.weight * np.array(video.scores)
    ids, found = predict_all(load_network(ensemble_file, "student"), reader)
    np.testing.assert_allclose(found, [totals[i] for i in ids], atol=1e-6)
    rankings = {i: plain_metrics.rank(row) for i, row in totals.items()}
    labels = true_labels(Path(reader.files[0]).parent)
    expected = plain_metrics.score_videos(rankings, labels, 20)
    scores = evaluate_checkpoint(ensemble_file, "student", reader)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-5), name
    assert (scores["role"], scores["step"]) == ("ensemble", None)


def test_costs_are_the_members_together(members, ensemble_file):
    network, parts = load_network(ensemble_file, "student"), map(load, members)
    frames, parameters, costs = zip(
        *((p.num_frames, p.num_parameters, p.macs) for p in parts),
        strict=True,
    )
    assert frames == (40, 3, 40)
    assert network.num_frames == network.frames_needed == 40
    assert network.num_parameters == sum(parameters)
    assert network.macs == network.raw_model().macs() == sum(costs)
    assert network.schema == read_data_schema(ensemble_file) == frame_schema()
    assert network.budget == ALL_FRAMES


def test_a_file_names_its_members_as_seen_from_where_it_lies(members, tmp_path):
    for index, member in enumerate(members[:2]):
        folder = tmp_path / "here" / "runs" / str(index)
        folder.mkdir(parents=True)
        shutil.copy(member.checkpoint, folder / "a.h5")
    path = tmp_path / "here" / "ensembles" / "e.json"
    Ensemble(
        (
            Member(str(tmp_path / "here/runs/0/a.h5"), "student", 6.0),
            Member(str(tmp_path / "here/runs/1/a.h5"), "student", 2.0),
            Member("nowhere.h5", "student", 0.0),
        )
    ).write(path)
    assert json.loads(path.read_text()) == {
        "format": "distill-ensemble-1",
        "members": [
            entry(checkpoint="../runs/0/a.h5", weight=0.75),
            entry(checkpoint="../runs/1/a.h5", weight=0.25),
        ],
    }
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = tmp_path / "there" / "ensembles" / "e.json"
    assert len(load_network(moved, "student").networks) == 2


def entry(**fields):
    member = {"checkpoint": "a.h5", "role": "student", "weight": 1}
    return member | fields


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "it is no JSON object, but a list"),
        ({"format": "other", "members": [entry()]}, 'its "format" is not'),
        ({"members": {}}, "members must be a list"),
        ({"members": []}, "needs one member or more, got none"),
        ({"members": [3]}, "members[0] must be an object"),
        ({"members": [{}]}, "the field members[0].checkpoint is missing"),
        ({"members": [entry(weight="1")]}, "weight must be a finite number"),
        ({"members": [entry(role="both")]}, "Choices: student, teacher"),
        ({"members": [entry(weight=-1)]}, "weights must be 0 or more, and one"),
        ({"members": [entry(), entry()]}, "has each member once:"),
    ],
)
def test_a_file_that_holds_no_ensemble_is_an_error(tmp_path, held, message):
    path = tmp_path / "e.json"
    if isinstance(held, dict):
        held = json.dumps({"format": "distill-ensemble-1"} | held)
    path.write_text(held)
    expected = f"^{path} is not an ensemble: .*{re.escape(message)}"
    with pytest.raises(ValueError, match=expected):
        Ensemble.read(path)


def test_what_an_ensemble_cannot_do_is_an_error(members, ensemble_file):
    with pytest.raises(ValueError, match="--role=teacher: the members of"):
        load_network(ensemble_file, "teacher")
    with pytest.raises(ValueError, match="cannot be run with every_n=2"):
        load_network(ensemble_file, "student", budget=FrameBudget.every(2))
    with pytest.raises(ValueError, match=r"must end in \.json, got e\.h5"):
        Ensemble(members).write("e.h5")


def test_members_of_other_data_or_drawn_frames_are_errors(
    videos, members, tmp_path
):
    checkpoint = train(videos, tmp_path / "short", ALL_FRAMES, max_frames=39)
    other = Member(checkpoint, "student", 1.0)
    path = tmp_path / "e.json"
    Ensemble((members[0], other)).write(path)
    message = r"short/.* max_frames=39, the ensemble's .*all/.* max_frames=40"
    with pytest.raises(CheckpointError, match=message):
        load_network(path, "student")
    budget = FrameBudget("random_k", num_frames=3)
    checkpoint = train(videos, tmp_path / "drawn", budget)
    Ensemble((Member(checkpoint, "student", 1.0),)).write(path)
    message = r"draws its frames at random \(random_k=3\)"
    with pytest.raises(ValueError, match=message):
        load_network(path, "student")
    Ensemble((Member(checkpoint, "teacher", 1.0),)).write(path)
    with pytest.raises(ValueError, match="There is no teacher here, only the"):
        load_network(path, "student")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["1", "x"], "--weights must be numbers, got 1,x."),
        (["1"], "one for each of the 2 files of --checkpoints, got 1."),
        (["1", "-1"], "--weights must be 0 or more, and one above 0"),
        (["0", "0"], "--weights must be 0 or more, and one above 0"),
    ],
)
def test_weights_that_are_none_are_errors(texts, message):
    with pytest.raises(ValueError, match=message):
        parse_weights(texts, 2, "checkpoints")


def test_weights_are_scaled_and_members_may_name_their_network():
    assert parse_weights(["3", "1"], 2, "checkpoints") == [0.75, 0.25]
    assert parse_weights(None, 4, "checkpoints") == [0.25] * 4
    assert parse_member("a:b.h5", "student") == Member("a:b.h5", "student", 1.0)
    member = parse_member("a.h5:teacher", "student", 0.5)
    assert member == Member("a.h5", "teacher", 0.5)


def make_kept(parts, labels, batch_size=7):
    """Keeps members' predictions `[videos, classes]` in batches."""
    kept = KeptPredictions()
    for predictions in parts:
        kept.start_member()
        for start in range(0, len(predictions), batch_size):
            rows = slice(start, start + batch_size)
            kept.keep(Prediction([], predictions[rows], labels[rows]))
    return kept


def random_members():
    """Returns labels and predictions, each member's of other noise."""
    rng = np.random.default_rng(0)
    labels = rng.random((60, 8)) < 0.2
    noise = rng.random((3, 60, 8))
    scale = np.array([0.95, 0.6, 0.65])[:, None, None]
    return labels, ((1 - scale) * labels + scale * noise).astype(np.float32)


def plain_gap(predictions, labels, top_k):
    rankings = dict(enumerate(map(plain_metrics.rank, predictions)))
    truth = {i: set(np.flatnonzero(row)) for i, row in enumerate(labels)}
    return plain_metrics.score_videos(rankings, truth, top_k)["gap"]


def test_choices_of_weights_are_scored_by_the_gap_of_their_mean():
    labels, parts = random_members()
    kept = make_kept(parts, labels)
    choices = ((1, 0, 0), (1, 1, 2), (0, 3, 1))
    gaps = kept.score(choices, top_k=3)
    for choice, gap in zip(choices, gaps, strict=True):
        mean = np.tensordot(np.array(choice) / sum(choice), parts, axes=1)
        assert gap == pytest.approx(plain_gap(mean, labels, 3), abs=1e-6)


def test_search_finds_a_mean_better_than_each_member_and_draws_nothing():
    labels, parts = random_members()
    kept = make_kept(parts, labels)
    weights = search_weights(kept, num_steps=10, top_k=3)
    assert sum(weights) == pytest.approx(1)
    found = kept.score([weights], 3)[0]
    alone = kept.score(np.eye(3), 3)
    assert found > max(alone)
    assert weights[0] < min(weights[1:])
    kept = make_kept(parts, labels, 60)
    assert search_weights(kept, num_steps=10, top_k=3) == weights


def test_search_takes_the_better_member_alone_where_the_other_is_noise():
    labels, _ = random_members()
    rng = np.random.default_rng(1)
    perfect = labels * 0.5 + 0.25
    noise = rng.random(labels.shape)
    parts = [part.astype(np.float32) for part in (noise, perfect)]
    assert search_weights(make_kept(parts, labels)) == [0.0, 1.0]


def test_members_that_read_other_videos_cannot_be_searched():
    labels, parts = random_members()
    kept = make_kept([parts[0], parts[1][:5]], labels)
    with pytest.raises(ValueError, match=r"same videos, got the .* \[5, 60\]"):
        search_weights(kept)


@pytest.mark.slow
def test_building_scores_members_as_evaluation_does(members, reader, tmp_path):
    path = tmp_path / "e.json"
    scores = build_ensemble(reader, members, path, search_steps=4)
    assert list(scores) == [*(member.name for member in members), "ensemble"]
    for member in members:
        expected = evaluate_checkpoint(member.checkpoint, member.role, reader)
        found = dict(scores[member.name])
        weight = found.pop("weight")
        assert 0 <= weight <= 1
        assert 4 * weight % 1 == 0 or 3 * weight % 1 == 0
        for name in ("gap", "mean_average_precision", "loss", "num_videos"):
            assert found[name] == expected[name]
    alone = [scores[member.name]["gap"] for member in members]
    assert scores["ensemble"]["gap"] >= max(alone) - 1e-6
    weights = [scores[member.name]["weight"] for member in members]
    held = Ensemble.read(path).members
    assert [m.weight for m in held] == [w for w in weights if w]


def test_weights_of_segments_cannot_be_searched(members, reader, tmp_path):
    schema = dataclasses.replace(
        reader.schema, segment_labels=True, max_frames=5
    )
    segments = dataclasses.replace(reader, schema=schema)
    with pytest.raises(ValueError, match="--search_weights is for whole video"):
        build_ensemble(segments, members, tmp_path / "e.json", search_steps=4)


@pytest.mark.slow
def test_scripts_build_score_and_predict_by_an_ensemble(
    videos, members, reader, tmp_path
):
    path, scores = tmp_path / "e.json", tmp_path / "scores.json"
    pattern = f"--eval_data_pattern={videos}/validate-*.tfrecord"
    common = [pattern, "--gpu=-1", f"--batch_size={BATCH_SIZE}"]
    done = run_script(
        "ensemble",
        f"--checkpoints={','.join(member.name for member in members)}",
        "--weights=.5,.2,.3",
        f"--ensemble_file={path}",
        *common,
    )
    assert done.stdout.splitlines()[-1] == f"wrote {path}"
    assert "0.300" in done.stdout
    assert "1.000 ensemble" in done.stdout
    flags = [f"--checkpoint={path}", *common]
    run_script("evaluate", *flags, f"--metrics_file={scores}")
    expected = evaluate_checkpoint(path, "student", reader)
    found = json.loads(scores.read_text())
    assert found["gap"] == pytest.approx(expected["gap"], abs=1e-6)
    csv_file = tmp_path / "predictions.csv"
    run_script("infer", *flags, f"--output_file={csv_file}")
    assert len(csv_file.read_text().splitlines()) == 41
    done = run_script("evaluate", *flags, "--cascade_file=c.json", status=1)
    assert "is for a student, not an ensemble" in error_line(done)
