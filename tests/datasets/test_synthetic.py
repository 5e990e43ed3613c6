"""Synthetic videos have the stated form, statistics and scenes."""

import dataclasses
import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from distill.data.pipeline import VideoReader
from distill.datasets.synthetic import (
    SyntheticWorld,
    to_sequence_example,
    write_synthetic_data,
)
from distill.settings.synthetic import SyntheticSettings
from tests.data.record_files import FRAME_SCHEMA, decode_video, read_records

ROOT = Path(__file__).parents[2]
SMALL = SyntheticSettings(
    "train",
    24,
    num_shards=3,
    seed=3,
    feature_sizes=(12, 4),
    num_classes=9,
    max_frames=20,
)
# One value a frame, one frame: what labels look like, at little cost.
LABELS_ALONE = dataclasses.replace(
    SMALL,
    feature_names=("rgb",),
    feature_sizes=(1,),
    num_classes=200,
    max_frames=1,
)


def write(folder, **changes):
    """Writes a small split; returns what `write_synthetic_data` yields."""
    settings = dataclasses.replace(SMALL, **changes)
    return list(write_synthetic_data(settings, folder))


def records_of(shards):
    """Returns the records of all shards that were yielded."""
    return [record for path, _ in shards for record in read_records(path)]


def decode(serialized):
    return tf.train.SequenceExample.FromString(serialized)


def draw(settings, count, seed=0):
    """Draws videos of a world; returns the world and the videos."""
    world = SyntheticWorld(settings)
    random = np.random.default_rng(seed)
    return world, [world.draw_video(random)[:3] for _ in range(count)]


def draw_labels(settings, count):
    """Draws videos; returns their records' labels and those truly shown."""
    _, videos = draw(settings, count)
    return [video[1] for video in videos], [video[2] for video in videos]


@pytest.fixture(scope="module")
def full_size_records(tmp_path_factory):
    """The records of three videos of the default widths, classes, frames."""
    settings = SyntheticSettings("train", 3, num_shards=1)
    folder = tmp_path_factory.mktemp("full_size")
    return records_of(write_synthetic_data(settings, folder))


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert [path.name for path, _ in first] == [
        f"train-{index:05d}-of-00003.tfrecord" for index in range(3)
    ]
    for (path, _), (other, _) in zip(first, second, strict=True):
        assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    "changes", [{"seed": 4}, {"split": "validate"}], ids=["seed", "split"]
)
def test_another_seed_or_split_gives_other_videos(changes, tmp_path):
    first = records_of(write(tmp_path / "a"))
    second = records_of(write(tmp_path / "b", **changes))
    assert len(first) == len(second) == 24
    frames = [
        {
            record.feature_lists.SerializeToString(deterministic=True)
            for record in map(decode, records)
        }
        for records in (first, second)
    ]
    assert len(frames[0] | frames[1]) == 48


def test_splits_of_one_seed_show_one_world():
    world = SyntheticWorld(SMALL)
    same = SyntheticWorld(
        dataclasses.replace(SMALL, split="validate", num_videos=5)
    )
    other = SyntheticWorld(dataclasses.replace(SMALL, seed=4))
    np.testing.assert_array_equal(world.looks, same.looks)
    np.testing.assert_array_equal(world.backgrounds, same.backgrounds)
    np.testing.assert_array_equal(world.affinity, same.affinity)
    assert np.abs(world.looks - other.looks).min(axis=1).all()


@pytest.mark.parametrize("num_shards", [1, 5, 24, 40])
def test_videos_do_not_depend_on_the_number_of_shards(num_shards, tmp_path):
    expected = records_of(write(tmp_path / "a"))
    shards = write(tmp_path / "b", num_shards=num_shards)
    assert len(shards) == num_shards
    assert records_of(shards) == expected


def test_a_larger_sample_begins_with_the_smaller_one(tmp_path):
    few = records_of(write(tmp_path / "a"))
    many = records_of(write(tmp_path / "b", num_videos=31))
    assert many[:24] == few


def test_records_have_the_keys_and_widths_of_youtube_8m(full_size_records):
    names = set()
    for record in map(decode, full_size_records):
        context = record.context.feature
        assert set(context) == {"id", "labels"}
        (name,) = context["id"].bytes_list.value
        names.add(name)
        labels = list(context["labels"].int64_list.value)
        assert labels == sorted(set(labels))
        assert labels[0] >= 0
        assert labels[-1] < 3862
        assert set(record.feature_lists.feature_list) == {"rgb", "audio"}
        video = decode_video(record.SerializeToString(), FRAME_SCHEMA)
        num_frames = len(video.features["rgb"])
        assert 1 <= num_frames <= 300
        assert video.features["rgb"].shape == (num_frames, 1024)
        assert video.features["audio"].shape == (num_frames, 128)
    assert len(names) == 3
    assert all(names)


def test_values_are_spread_over_the_8_bit_range(full_size_records):
    videos = [decode_video(each, FRAME_SCHEMA) for each in full_size_records]
    for name in ("rgb", "audio"):
        values = np.concatenate([video.features[name] for video in videos])
        assert 120 < values.mean() < 135
        assert 20 < values.std() < 50
        assert np.isin(values, (0, 255)).mean() < 0.01


def test_a_record_holds_the_arrays_it_is_made_of():
    rgb = np.arange(6, dtype=np.uint8).reshape(2, 3)
    audio = np.array([[10], [255]], np.uint8)
    record = to_sequence_example(
        "a1", np.array([4, 7]), {"rgb": rgb, "audio": audio}
    )
    video = decode_video(record.SerializeToString(), FRAME_SCHEMA)
    assert (video.id, video.labels) == ("a1", [4, 7])
    np.testing.assert_array_equal(video.features["rgb"], rgb)
    np.testing.assert_array_equal(video.features["audio"], audio)


@pytest.mark.parametrize(("least", "most"), [(1, 300), (5, 40), (7, 7)])
def test_lengths_vary_between_min_and_max_frames(least, most):
    settings = dataclasses.replace(
        SMALL, feature_sizes=(1, 1), min_frames=least, max_frames=most
    )
    lengths = np.array([len(video[0]) for video in draw(settings, 400)[1]])
    span = most - least
    assert least <= lengths.min() <= least + 0.3 * span
    assert most - 0.02 * span <= lengths.max() <= most
    assert len(set(lengths)) >= min(span + 1, 30)


def test_videos_show_several_labels():
    noisy, shown = draw_labels(LABELS_ALONE, 2000)
    counts = np.array(list(map(len, shown)))
    # 1 + Poisson(2): mean 3, variance 2.
    assert abs(counts.mean() - 3) < 0.15
    assert abs(counts.var() - 2) < 0.4
    assert counts.min() == 1
    assert np.mean([len(labels) > 1 for labels in noisy]) > 0.7
    assert min(map(len, noisy)) >= 1


def test_label_frequencies_fall_as_a_long_tail():
    noisy, _ = draw_labels(LABELS_ALONE, 3000)
    counts = np.bincount(np.concatenate(noisy), minlength=200)
    bands = [counts[:5], counts[5:20], counts[20:60], counts[60:]]
    means = [band.mean() for band in bands]
    assert all(
        often > 2 * seldom for often, seldom in itertools.pairwise(means)
    )
    slope, _ = np.polyfit(np.log(np.arange(1, 201)), np.log(counts + 1), 1)
    assert -1.3 < slope < -0.6  # 1 / rank has slope -1
    assert np.mean(counts > 0) > 0.8


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4])
def test_labels_are_missing_at_their_rate(rate):
    settings = dataclasses.replace(
        LABELS_ALONE, missing_label_rate=rate, wrong_label_rate=0.0
    )
    noisy, shown = draw_labels(settings, 2000)
    missing = sum(
        len(np.setdiff1d(*pair)) for pair in zip(shown, noisy, strict=True)
    )
    # Of a video that would lose every label one is kept.
    sizes = np.array(list(map(len, shown)))
    expected = (rate * sizes - rate**sizes).sum()
    assert abs(missing - expected) <= 0.1 * expected
    assert all(
        np.isin(kept, true).all()
        for kept, true in zip(noisy, shown, strict=True)
    )


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_labels_are_wrong_at_their_rate(rate):
    settings = dataclasses.replace(
        LABELS_ALONE, missing_label_rate=0.0, wrong_label_rate=rate
    )
    noisy, shown = draw_labels(settings, 3000)
    wrong = [
        len(np.setdiff1d(*pair)) for pair in zip(noisy, shown, strict=True)
    ]
    # A label drawn as 1 / rank is not wrong where the video shows it.
    popularity = 1 / np.arange(1, 201)
    popularity /= popularity.sum()
    expected = sum(rate * (1 - popularity[true].sum()) for true in shown)
    assert max(wrong) <= 1
    assert abs(sum(wrong) - expected) <= 0.15 * expected


RATINGS = {"min_frames": 5, "rated_segments": 3}
RATED_SCHEMA = dataclasses.replace(
    FRAME_SCHEMA, feature_sizes=(12, 4), num_classes=9
).of_segments()


def test_ratings_leave_the_videos_as_they_are(tmp_path):
    plain = records_of(write(tmp_path / "a", min_frames=5))
    rated = list(map(decode, records_of(write(tmp_path / "b", **RATINGS))))
    for record in rated:
        assert record.context.feature["segment_labels"].int64_list.value
        for key in [key for key in record.context.feature if "segment" in key]:
            del record.context.feature[key]
    assert rated == list(map(decode, plain))


def test_segments_are_rated_by_the_scenes_that_touch_them(tmp_path):
    """Strongly shown labels are seen in the frames of their segments."""
    changes = {"scene_strength": 40.0, "max_frames": 60, **RATINGS}
    settings = dataclasses.replace(SMALL, **changes)
    looks = SyntheticWorld(settings).looks
    files = [str(path) for path, _ in write(tmp_path, **changes)]
    reader = VideoReader(RATED_SCHEMA, files, 64)
    found = {True: [], False: []}
    segments = set()
    for batch in reader.read_once():
        segments |= set(batch["id"].numpy())
        frames = batch["frames"].numpy().astype(float) - 127.5
        # How much of a look is in the frame that has most of it.
        seen = np.max(frames @ np.linalg.pinv(looks), axis=1)
        for row, label in np.argwhere(batch["label_weights"].numpy()):
            positive = bool(batch["labels"][row, label])
            found[positive].append(seen[row, label])
    assert 2 * 24 <= len(segments) <= 3 * 24
    assert min(map(len, found.values())) > 20
    assert np.median(found[True]) > 3 * abs(np.median(found[False]))


def measure_strengths(world, frames, features):
    """Returns how strongly every class shows in every frame.

    Args:
      world: Whose looks are sought.
      frames: uint8 `[frames, features]`, as drawn.
      features: Slice of the features to look at.

    Returns:
      float `[frames, classes]` in units of the noise: least squares over the
      looks, after the video's median frame was taken away.
    """
    values = (frames[:, features].astype(np.float64) * 4 / 255 - 2) / 0.4
    values -= np.median(values, axis=0)
    return values @ np.linalg.pinv(world.looks[:, features].astype(np.float64))


def test_labels_show_in_scenes_of_a_few_frames_in_both_features():
    settings = dataclasses.replace(
        SMALL,
        seed=4,
        feature_sizes=(768, 512),
        min_frames=60,
        max_frames=100,
        scene_strength=1.5,
    )
    world, videos = draw(settings, 40, seed=4)
    lengths, shares = [], []
    for frames, _, shown in videos:
        in_rgb = measure_strengths(world, frames, slice(0, 768)) > 0.75
        in_audio = measure_strengths(world, frames, slice(768, 1280)) > 0.75
        np.testing.assert_array_equal(in_rgb, in_audio)
        np.testing.assert_array_equal(np.flatnonzero(in_rgb.any(0)), shown)
        for label in shown:
            edges = np.flatnonzero(
                np.diff(in_rgb[:, label], prepend=False, append=False)
            )
            lengths += list(edges[1::2] - edges[::2])
            shares.append(in_rgb[:, label].mean())
    assert len(lengths) > len(shares)  # some labels show in several scenes
    assert 4.5 < np.mean(lengths) < 8  # scene_frames is 6; some scenes meet
    assert max(lengths) <= 30
    assert np.mean(shares) < 0.2


@pytest.mark.parametrize("scene_frames", [1.0, 3.0, 12.0])
def test_scenes_have_the_stated_mean_length(scene_frames):
    settings = dataclasses.replace(
        SMALL,
        feature_sizes=(256, 8),
        min_frames=200,
        max_frames=200,
        mean_labels=1.0,
        scene_frames=scene_frames,
        scene_strength=3.0,
    )
    world, videos = draw(settings, 60, seed=2)
    seen = []
    for frames, _, shown in videos:
        strengths = measure_strengths(world, frames, slice(0, 256))
        # Strength 6 where two scenes meet counts twice.
        seen.append(np.rint(strengths[:, shown[0]] / 3).sum())
    # A label shows in 1 + Poisson(0.5) scenes.
    expected = 1.5 * scene_frames
    assert abs(np.mean(seen) - expected) < 0.25 * expected


def test_frames_of_a_video_share_a_background():
    settings = dataclasses.replace(
        SMALL, feature_sizes=(256, 256), min_frames=20, scene_strength=0.0
    )
    _, drawn = draw(settings, 30, seed=3)
    videos = [video[0].astype(np.float64) - 127.5 for video in drawn]

    def correlate(frame, other):
        return np.corrcoef(frame, other)[0, 1]

    within = [correlate(video[0], video[10]) for video in videos]
    between = [
        correlate(video[0], other[10])
        for video, other in itertools.pairwise(videos)
    ]
    # Noise of variance 1 over a topic's and the video's own look, 1/4 each.
    assert abs(np.mean(within) - 1 / 3) < 0.05
    assert np.mean(between) < 0.2
    assert max(between) > 0.1  # two videos of one topic


def test_few_frames_miss_labels_that_all_frames_show():
    settings = dataclasses.replace(
        SMALL, feature_sizes=(256, 64), min_frames=60, max_frames=100
    )
    world, videos = draw(settings, 60, seed=4)
    hits = {1: [], 20: []}
    for frames, _, shown in videos:
        strengths = measure_strengths(world, frames, slice(0, 320))
        for every_n, found in hits.items():
            best = strengths[::every_n].max(axis=0)
            found.append(np.argmax(best) in shown)
    assert np.mean(hits[1]) > 0.95
    assert np.mean(hits[20]) < np.mean(hits[1]) - 0.1


def test_splits_lie_beside_each_other(tmp_path):
    train = records_of(write(tmp_path))
    write(tmp_path, split="validate", num_shards=2)
    kept = write(tmp_path)
    assert [written for _, written in kept] == [False] * 3
    assert records_of(kept) == train


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("num_videos", 0, "1 or more"),
        ("num_shards", 0, "1 or more"),
        ("min_frames", 0, "1 or more"),
        ("mean_labels", 0.5, "1 or more"),
        ("num_classes", 1, "2 or more"),
        ("seed", -1, "0 or more"),
        ("scene_frames", 0.5, "1 or more"),
        ("scene_strength", -0.5, "0 or more"),
        ("scene_strength", float("nan"), "0 or more"),
        ("missing_label_rate", 1.0, "below 1"),
        ("wrong_label_rate", -0.1, "0 or more"),
    ],
)
def test_settings_that_make_no_world_are_refused(name, value, bounds):
    with pytest.raises(ValueError, match=f"^{name} must be {bounds}, got "):
        dataclasses.replace(SMALL, **{name: value})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"min_frames": 21}, "max_frames must be 21 or more, got 20."),
        ({"feature_sizes": (12, 0)}, "audio must be 1 or more, got 0."),
    ],
)
def test_settings_that_contradict_one_another_are_refused(changes, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        dataclasses.replace(SMALL, **changes)


@pytest.mark.slow
def test_the_command_writes_both_splits(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "distill",
            "make_synthetic_data",
            f"--output_dir={tmp_path}",
            "--num_train_videos=7",
            "--num_validate_videos=4",
            "--num_shards=2",
            "--feature_sizes=8,4",
            "--num_classes=5",
            "--max_frames=6",
            "--min_frames=2",
            "--seed=3",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    files = []
    for split, count in (("train", 7), ("validate", 4)):
        paths = sorted(tmp_path.glob(f"{split}-*-of-00002.tfrecord"))
        files += paths
        records = [each for path in paths for each in read_records(path)]
        assert len(records) == count
        for record in records:
            frames = decode_video(record, FRAME_SCHEMA).features["rgb"]
            assert 2 <= len(frames) <= 6
            assert frames.shape[1] == 8
    assert done.stdout.splitlines() == [
        f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)" for path in files
    ]
