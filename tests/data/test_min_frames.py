"""Videos of too few frames are left out, and said to be."""

import dataclasses

import pytest

from distill.data.bad_records import BadRecordError
from distill.data.kept_frames import BUDGET_KEY
from distill.data.pipeline import VideoReader
from distill.models.frame_budget import FrameBudget
from tests.data.record_files import (
    FRAME_SCHEMA,
    VIDEO_SCHEMA,
    assert_same_batches,
    assert_videos_read,
    draw_videos,
    ids_of,
    unbatch,
    write_records,
)

SEGMENTS = dataclasses.replace(FRAME_SCHEMA, max_frames=5, segment_labels=True)


def length(video):
    return len(video.features["rgb"])


@pytest.fixture
def videos():
    """Videos of 1 to 6 frames, of which 4 are read."""
    drawn = draw_videos(FRAME_SCHEMA, 40, seed=2)
    assert {length(video) for video in drawn} == set(range(1, 7))
    return drawn


@pytest.fixture
def files(videos, tmp_path):
    serialized = [video.serialize() for video in videos]
    return [write_records(tmp_path / "a", serialized)]


@pytest.mark.parametrize(
    ("min_frames", "on_bad_record"),
    [(1, "fail"), (4, "fail"), (5, "skip"), (6, "fail")],
)
def test_videos_of_at_least_so_many_frames_are_read(
    min_frames, on_bad_record, videos, files, capsys
):
    """The length counts before frames beyond max_frames are cut."""
    reader = VideoReader(
        FRAME_SCHEMA,
        files,
        7,
        on_bad_record=on_bad_record,
        min_frames=min_frames,
    )
    kept = [video for video in videos if length(video) >= min_frames]
    for _ in range(2):
        read = unbatch(reader.read_once())
        assert_videos_read(read, kept, FRAME_SCHEMA)
    told = (
        f"left out {40 - len(kept)} videos of fewer than {min_frames} frames "
        "(--min_frames)\n"
    )
    assert capsys.readouterr().out == (told if min_frames > 1 else "")
    assert reader.estimate_num_examples() == pytest.approx(len(kept), abs=1)


@pytest.mark.parametrize("selection", ["first_k", "uniform_k", "segment_means"])
def test_the_length_counts_not_the_frames_that_a_budget_keeps(
    selection, videos, files
):
    budget = FrameBudget(selection, num_frames=2)
    reader = VideoReader(FRAME_SCHEMA, files, 7, budget=budget, min_frames=5)
    kept = [video.id for video in videos if length(video) >= 5]
    assert ids_of(reader.read_once()) == kept


@pytest.mark.parametrize("position", [3, 30])
def test_an_epoch_goes_on_where_it_stopped(position, files):
    reader = VideoReader(FRAME_SCHEMA, files, 1, min_frames=4)
    whole = list(reader.read_shuffled(0, 1, 6))
    rest = [b for b in whole if int(b["position"][0]) > position]
    assert_same_batches(reader.read_shuffled(0, 1, 6, position), rest)


def test_short_videos_that_are_bad_are_errors(videos, tmp_path):
    number = next(i for i, v in enumerate(videos) if length(v) == 1)
    videos[number].labels = [99]
    path = write_records(tmp_path / "a", [v.serialize() for v in videos])
    reader = VideoReader(FRAME_SCHEMA, [path], 7, min_frames=4)
    with pytest.raises(BadRecordError, match=f"record {number}: label 99"):
        list(reader.read_once())


def test_bad_and_short_videos_are_told_apart(videos, tmp_path, capsys):
    videos[0].labels = [99]
    path = write_records(tmp_path / "a", [v.serialize() for v in videos])
    reader = VideoReader(
        FRAME_SCHEMA, [path], 7, on_bad_record="skip", min_frames=4
    )
    kept = [v.id for v in videos[1:] if length(v) >= 4]
    assert ids_of(reader.read_once()) == kept
    told = capsys.readouterr().out
    assert "WARNING: skipped 1 records, label outside the classes" in told
    num_short = sum(length(video) < 4 for video in videos[1:])
    assert f"\nleft out {num_short} videos of fewer than 4 frames" in told


def test_no_video_long_enough_is_an_error(files):
    reader = VideoReader(FRAME_SCHEMA, files, 7, min_frames=7)
    with pytest.raises(BadRecordError, match="No video of 7 frames or more in"):
        list(reader.read_once())


def test_frames_of_a_budget_alone_do_not_tell_the_length(videos, tmp_path):
    budget = FrameBudget("first_k", num_frames=1)
    record = videos[0].message()
    context = record.context.feature
    context[BUDGET_KEY].bytes_list.value.append(budget.name.encode())
    path = write_records(tmp_path / "a", [record.SerializeToString()])
    reader = VideoReader(FRAME_SCHEMA, [path], 7, budget=budget, min_frames=2)
    with pytest.raises(BadRecordError, match="do not tell the length of the"):
        list(reader.read_once())


@pytest.mark.parametrize("schema", [VIDEO_SCHEMA, SEGMENTS])
def test_only_whole_videos_of_frames_have_a_length(schema, files):
    with pytest.raises(ValueError, match="min_frames=2 is for frame-level rec"):
        VideoReader(schema, files, 7, min_frames=2)
    with pytest.raises(ValueError, match="min_frames must be 1 or more, got 0"):
        VideoReader(schema, files, 7, min_frames=0)
