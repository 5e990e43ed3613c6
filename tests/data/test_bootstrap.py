"""Training sets drawn with replacement: by the id, whatever the order."""

import collections
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.data.bootstrap import bootstrap_key, count_copies
from distill.data.pipeline import VideoReader
from distill.models.frame_budget import FrameBudget
from tests.data.record_files import (
    FRAME_SCHEMA,
    SCHEMAS,
    assert_same_batches,
    draw_videos,
    ids_of,
    unbatch,
    write_records,
)
from tests.segment_records import SCHEMA as SEGMENT_SCHEMA
from tests.segment_records import RatedVideo

KEY = bootstrap_key(3)


def counts_of(names, key=KEY):
    return dict(
        zip(names, count_copies(tf.constant(names), key).numpy(), strict=True)
    )


def write_files(folder, videos, num_files):
    return [
        write_records(
            folder / f"{num_files}-{i}",
            [video.serialize() for video in videos[i::num_files]],
        )
        for i in range(num_files)
    ]


def test_copies_follow_a_poisson_distribution_of_mean_one():
    ids = tf.constant([f"v{i}" for i in range(50_000)])
    found = np.bincount(count_copies(ids, KEY).numpy(), minlength=5) / 50_000
    for copies in range(5):
        expected = math.exp(-1) / math.factorial(copies)
        spread = math.sqrt(expected / 50_000)
        assert found[copies] == pytest.approx(expected, abs=4 * spread)
    assert found @ np.arange(len(found)) == pytest.approx(1, abs=0.02)
    other = count_copies(ids, bootstrap_key(4)).numpy()
    both = np.corrcoef(count_copies(ids, KEY).numpy(), other)[0, 1]
    assert abs(both) < 0.02


@pytest.mark.parametrize(
    ("level", "on_bad_record"), [("frame", "skip"), ("video", "fail")]
)
def test_videos_come_as_often_as_drawn_in_any_division(
    level, on_bad_record, tmp_path
):
    """Over files, batch sizes, epochs, orders and streams."""
    schema = SCHEMAS[level]
    videos = draw_videos(schema, 40)
    expected = counts_of([video.id for video in videos])
    expected = {name: count for name, count in expected.items() if count}
    assert len(expected) < 40 < sum(expected.values()) + 20
    assert max(expected.values()) > 1
    for num_files, batch_size in ((1, 7), (3, 1)):
        files = write_files(tmp_path, videos, num_files)
        reader = VideoReader(
            schema,
            files,
            batch_size,
            on_bad_record=on_bad_record,
            bootstrap_key=KEY,
        )
        read = [ids_of(reader.read_shuffled(0, e, 9)) for e in range(2)]
        read.append(ids_of(reader.read_once()))
        if num_files == 3:
            streams = (
                ids_of(reader.read_shuffled(0, 0, 9, stream=(i, 3)))
                for i in range(3)
            )
            read.append(list(itertools.chain.from_iterable(streams)))
        for ids in read:
            assert collections.Counter(ids) == expected
        assert read[0] != read[1]


def test_copies_of_a_video_are_the_same_video(tmp_path):
    videos = draw_videos(FRAME_SCHEMA, 30)
    files = write_files(tmp_path, videos, 1)
    plain = VideoReader(
        FRAME_SCHEMA, files, 30, budget=FrameBudget("random_k", num_frames=2)
    )
    drawn = VideoReader(
        FRAME_SCHEMA, files, 4, budget=plain.budget, bootstrap_key=KEY
    )
    once = {v["id"]: v for v in unbatch(plain.read_shuffled(1, 0, 5))}
    for video in unbatch(drawn.read_shuffled(1, 0, 5)):
        for name in ("frames", "num_frames", "labels"):
            np.testing.assert_array_equal(video[name], once[video["id"]][name])


@pytest.mark.parametrize("position", [1, 12, 20])
def test_reading_goes_on_behind_any_copy(position, tmp_path):
    files = write_files(tmp_path, draw_videos(FRAME_SCHEMA, 40), 2)
    reader = VideoReader(FRAME_SCHEMA, files, 1, bootstrap_key=KEY)
    whole = list(reader.read_shuffled(0, 1, 6))
    assert [int(batch["position"][0]) for batch in whole] == list(
        range(1, len(whole) + 1)
    )
    assert_same_batches(
        reader.read_shuffled(0, 1, 6, position), whole[position:]
    )


def test_the_segments_of_a_video_are_drawn_together(tmp_path):
    videos = [
        RatedVideo(
            f"v{i}", np.full((12, 5), i, np.uint8), [(0, 1, 1.0), (5, 2, 0.0)]
        )
        for i in range(12)
    ]
    files = [write_records(tmp_path / "a", [v.serialize() for v in videos])]
    reader = VideoReader(SEGMENT_SCHEMA, files, 5, bootstrap_key=KEY)
    found = collections.Counter(ids_of(reader.read_shuffled(0, 0, 4)))
    expected = counts_of([video.id for video in videos])
    assert found == {
        f"{name}:{start}": count
        for name, count in expected.items()
        for start in (0, 5)
        if count
    }


def test_a_bad_record_is_an_error_also_if_it_is_not_drawn(tmp_path):
    videos = draw_videos(FRAME_SCHEMA, 9)
    counts = counts_of([video.id for video in videos])
    number = next(i for i, v in enumerate(videos) if not counts[v.id])
    videos[number].labels = [99]
    files = write_files(tmp_path, videos, 1)
    reader = VideoReader(FRAME_SCHEMA, files, 4, bootstrap_key=KEY)
    with pytest.raises(BadRecordError, match=f"record {number}: label 99"):
        list(reader.read_shuffled(0, 0, 4))


def test_nothing_drawn_is_an_error(tmp_path):
    videos = draw_videos(FRAME_SCHEMA, 20)
    counts = counts_of([video.id for video in videos])
    files = write_files(
        tmp_path, [v for v in videos if not counts[v.id]][:2], 1
    )
    reader = VideoReader(FRAME_SCHEMA, files, 4, bootstrap_key=KEY)
    with pytest.raises(BadRecordError, match="No drawn record in 1 files"):
        list(reader.read_shuffled(0, 0, 4))
