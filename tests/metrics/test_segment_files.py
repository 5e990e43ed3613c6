"""Segment mAP of files: the reference's values, and wrong lines."""

import json

import pytest

from distill.evaluation.prediction_files.segment_files import merge_segments
from distill.evaluation.prediction_files.segment_scores import (
    are_of_segments,
    score_segments,
)
from tests.golden import load_golden_arrays


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """Returns the reference's values, a file of segments, one of ratings."""
    arrays = load_golden_arrays("segment_map")
    folder = tmp_path_factory.mktemp("segments")
    names = ("video_id", "start_time", "class", "score")
    ratings = {}
    for video, start, label, score in zip(
        *(arrays[f"rated_{name}"] for name in names), strict=True
    ):
        words = ratings.setdefault(f"{video}:{start}", [])
        words += [str(label), str(score)]
    rows = [f"{name},{' '.join(words)}\n" for name, words in ratings.items()]
    (folder / "ratings.csv").write_text(
        "SegmentId,ClassScorePairs\n" + "".join(rows)
    )
    lines = [
        f"{label},{segments}\n"
        for label, segments in zip(
            arrays["submission_class"],
            arrays["submission_segments"],
            strict=True,
        )
    ]
    (folder / "whole.csv").write_text("Class,Segments\n" + "".join(lines))
    # The published script reads the last segment with the line's end.
    lines = [line.replace("\n", "+\n") for line in lines]
    (folder / "published.csv").write_text("Class,Segments\n" + "".join(lines))
    return json.loads(str(arrays["expected"])), folder


@pytest.mark.parametrize("top_n", [0, 5, 20, 60])
@pytest.mark.parametrize("convention", ["whole", "published"])
def test_segment_map_is_the_reference_s(golden, convention, top_n):
    values, folder = golden
    expected = values[convention][str(top_n)]
    scores = score_segments(
        [folder / f"{convention}.csv"], [folder / "ratings.csv"], top_n
    )
    assert scores["segment_mean_average_precision"] == pytest.approx(
        expected["map"], abs=1e-9
    )
    assert scores["num_classes"] == len(expected["ap_by_class"])


def test_average_precision_by_hand(tmp_path):
    """Two of three positives are listed, at the ranks 1 and 3 of the rated."""
    ratings, segments = tmp_path / "ratings.csv", tmp_path / "segments.csv"
    ratings.write_text(
        "SegmentId,ClassScorePairs\na:0,7 1\na:5,7 0 8 1\nb:0,7 1\nb:5,7 1\n"
    )
    segments.write_text("Class,Segments\n7,c:0 a:0 a:5 b:0\n8,\n")
    found = score_segments([segments], [ratings])
    precision = (1 / 1 + 2 / 3) / 3
    assert found == {
        "segment_mean_average_precision": pytest.approx(precision / 2),
        "num_classes": 2,
        "num_rated": 5,
        "top_n": 0,
    }


WRONG = {
    "Class,Segments\n7,a:0 a:0\n": "line 2: a segment of the class 7 occurs",
    "Class,Segments\n7,a:0\n07,b:0\n": "line 3: the class '7' occurs a second",
    "Class,Segments\nseven,a:0\n": "line 2: a class must be a whole number",
    "Class,Segments\n7 a:0\n": "line 2: a class and a comma must come first",
    "Class,Segments\n": "hold no class",
    "Segments\n": "line 1: the header must be 'Class,Segments'",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_is_named_with_the_line(text, tmp_path):
    ratings, segments = tmp_path / "ratings.csv", tmp_path / "segments.csv"
    ratings.write_text("SegmentId,ClassScorePairs\na:0,7 1\n")
    segments.write_text(text)
    with pytest.raises(ValueError, match=WRONG[text]):
        score_segments([segments], [ratings])


WRONG_RATINGS = {
    "a:0,7 1\na:0,7 0\n": "line 3: the segment 'a:0' occurs a second time",
    "a:0,7\n": "line 2: a class and its score must come in pairs",
    "a:0,7 2\n": "line 2: a score must be a number from 0 to 1",
    "a:0,9 1\n": r"line 2: a class must be from 0 to 8 \(--num_classes\)",
}


@pytest.mark.parametrize("text", WRONG_RATINGS)
def test_a_wrong_file_of_ratings_is_named_with_the_line(text, tmp_path):
    ratings, segments = tmp_path / "ratings.csv", tmp_path / "segments.csv"
    ratings.write_text("SegmentId,ClassScorePairs\n" + text)
    segments.write_text("Class,Segments\n7,a:0\n")
    with pytest.raises(ValueError, match=WRONG_RATINGS[text]):
        score_segments([segments], [ratings], num_classes=9)


def test_files_of_videos_and_of_segments_do_not_go_together(tmp_path):
    segments, ratings = tmp_path / "segments.csv", tmp_path / "ratings.csv"
    videos, labels = tmp_path / "videos.csv", tmp_path / "labels.csv"
    segments.write_text("Class,Segments\n7,a:0\n")
    ratings.write_text("SegmentId,ClassScorePairs\na:0,7 1\n")
    videos.write_text("VideoId,LabelConfidencePairs\na,7 1\n")
    labels.write_text("VideoId,Labels\na,7\n")
    assert are_of_segments([segments], [ratings])
    assert not are_of_segments([videos], [labels])
    with pytest.raises(ValueError, match=r"labels.csv holds no ratings of"):
        are_of_segments([segments], [labels])
    with pytest.raises(ValueError, match=r"videos.csv is no file of segments"):
        are_of_segments([videos], [ratings])


SCORED = "Class,SegmentScorePairs\n"


def test_merged_files_rank_by_score_then_by_name(tmp_path):
    texts = ["3,b:0 0.9 a:5 0.5\n8,\n", "3,a:0 0.95 c:0 0.5\n8,c:0 1\n"]
    files = [tmp_path / "0.csv", tmp_path / "1.csv"]
    for file, text in zip(files, texts, strict=True):
        file.write_text(SCORED + text)
    path = tmp_path / "merged.csv"
    assert merge_segments(files, path, 3) == 2
    assert path.read_text() == "Class,Segments\n3,a:0 b:0 a:5\n8,c:0\n"


WRONG_PARTS = {
    ("3,a:0 1\n", "4,b:0 1\n"): "differ in their classes: where one has class",
    ("3,a:0 1\n4,\n", "3,b:0 1\n"): "class 4, the other has no further",
    ("3,a:0 1\n", "3,a:0 1\n"): "a segment of the class 3 occurs twice",
    ("3,a:0 1\n", "3,b:0\n"): "1.csv, line 2: a segment and its score must",
    ("3,a:0 1\n", "3,b:0 nan\n"): "1.csv, line 2: a score must be a number",
}


@pytest.mark.parametrize("texts", WRONG_PARTS)
def test_files_that_cannot_be_merged_are_named_and_nothing_is_written(
    texts, tmp_path
):
    files = [tmp_path / "0.csv", tmp_path / "1.csv"]
    for file, text in zip(files, texts, strict=True):
        file.write_text(SCORED + text)
    with pytest.raises(ValueError, match=WRONG_PARTS[texts]):
        merge_segments(files, tmp_path / "merged.csv", 3)
    assert not (tmp_path / "merged.csv").exists()
