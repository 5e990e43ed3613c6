"""Scores as TensorBoard's scalars: what has no step, or no place."""

import pytest
from stored_files import read_scalars

from distill.evaluation.score_events import ScoreEvents, tag_scores
from distill.system.write_errors import WriteError


def make_scores(**fields):
    scores = {"role": "student", "step": 5, "epoch": 2, "num_videos": 9}
    return scores | {"gap": 0.5, "loss": 1.25} | fields


def test_scores_are_tagged_as_training_tags_them():
    tagged = tag_scores("teacher", {"gap": 0.5, "loss": 1.25})
    assert tagged == {"teacher_gap": 0.5, "teacher_label_loss": 1.25}


def test_an_artifact_has_no_epoch_and_an_ensemble_no_step(tmp_path):
    artifact = make_scores()
    del artifact["epoch"]
    ensemble = make_scores(role="ensemble", step=None, epoch=None)
    with ScoreEvents(tmp_path) as events:
        events.write([artifact, ensemble])
        events.write([make_scores(step=7, gap=0.75)])
    assert read_scalars(tmp_path / "evaluation") == {
        ("student_gap", 5): 0.5,
        ("student_label_loss", 5): 1.25,
        ("student_gap", 7): 0.75,
        ("student_label_loss", 7): 1.25,
        ("epoch/student_gap", 2): 0.75,
        ("epoch/student_label_loss", 2): 1.25,
    }


def test_a_folder_that_cannot_be_made_is_named_at_once(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "events"
    message = f"^{folder} cannot be written: Not a directory"
    with pytest.raises(WriteError, match=message):
        ScoreEvents(folder)


def test_no_folder_has_no_events():
    with ScoreEvents(None) as events:
        events.write([make_scores()])
