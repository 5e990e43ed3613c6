"""Batches of videos of similar length: their order, resuming, bad records."""

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from distill.data.bootstrap import bootstrap_key
from distill.data.length_buckets import BATCHES_SORTED, order_by_length
from distill.data.pipeline import VideoReader
from tests.data.record_files import (
    FRAME_SCHEMA,
    VIDEO_SCHEMA,
    assert_same_batches,
    assert_videos_read,
    draw_videos,
    ids_of,
    pack_message,
    read_records,
    unbatch,
    write_records,
)

SCHEMA = dataclasses.replace(FRAME_SCHEMA, max_frames=30)
SEGMENTS = dataclasses.replace(FRAME_SCHEMA, max_frames=5, segment_labels=True)
BATCH, BUFFER = 3, 20
WINDOW = BATCHES_SORTED * BATCH
SIZES = (50, 35, 37)


@pytest.fixture(scope="module")
def videos():
    return draw_videos(SCHEMA, sum(SIZES))


@pytest.fixture(scope="module")
def files(videos, tmp_path_factory):
    """The files of every form."""
    folder = tmp_path_factory.mktemp("videos")
    messages = [video.message() for video in videos]
    written = {}
    for form in ("frames", "packed"):
        records = iter([each.SerializeToString() for each in messages])
        written[form] = [
            write_records(
                folder / f"{form} {number}", itertools.islice(records, size)
            )
            for number, size in enumerate(SIZES)
        ]
        messages = [pack_message(each, SCHEMA) for each in messages]
    return written


def make_reader(files, bucket_by_length=True, **options):
    return VideoReader(
        SCHEMA, files, BATCH, bucket_by_length=bucket_by_length, **options
    )


def numpy_order(lengths, batch_size, seed):
    """Sorts, takes the short batch out, and shuffles the others."""
    places = sorted(range(len(lengths)), key=lambda place: lengths[place])
    count, rest = divmod(len(places), batch_size)
    *draws, last = tf.random.stateless_uniform([count + 1], seed).numpy()
    start = int(last * (count + 1)) * batch_size
    short = places[start : start + rest]
    del places[start : start + rest]
    batches = [places[i * batch_size :][:batch_size] for i in range(count)]
    order = [*[batches[i] for i in np.argsort(draws)], short]
    return np.concatenate(order).astype(int)


@pytest.mark.parametrize("count", [1, 2, 3, 11, 12, 47, 48])
def test_a_window_is_sorted_cut_into_batches_and_these_are_shuffled(count):
    rng = np.random.default_rng(count)
    orders = []
    for number in range(20):
        lengths = rng.integers(1, 9, count)
        order = order_by_length(tf.constant(lengths), 3, (5, number)).numpy()
        expected = numpy_order(lengths, 3, (5, number))
        np.testing.assert_array_equal(order, expected)
        assert sorted(order) == list(range(count))
        orders.append(lengths[order])
    whole = count // 3
    spread = [np.ptp(each[: 3 * whole].reshape(-1, 3), 1) for each in orders]
    if count == 48:
        assert np.mean(spread) < 0.5
    if count == 11:
        # The short batch is of any length.
        assert len({each[-2:].mean().round() for each in orders}) > 3


def test_the_reader_sorts_windows_of_the_shuffled_records(files, videos):
    lengths = {v.id: len(v.serialize()) for v in videos}
    # The seed that the reader draws after the order of the files.
    random = np.random.default_rng([4, 2])
    random.permutation(len(SIZES))
    seed = int(random.integers(2**31))
    plain = make_reader(files["frames"], bucket_by_length=False)
    shuffled = ids_of(plain.read_shuffled(4, 2, BUFFER))
    expected = []
    for number in range(-(-len(shuffled) // WINDOW)):
        window = shuffled[number * WINDOW :][:WINDOW]
        sizes = [lengths[name] for name in window]
        order = numpy_order(sizes, BATCH, (seed, number))
        expected += [window[place] for place in order]
    read = make_reader(files["frames"]).read_shuffled(4, 2, BUFFER)
    assert ids_of(read) == expected != shuffled


@pytest.mark.parametrize("form", ["frames", "packed"])
def test_every_video_is_read_once_in_full_batches_of_similar_length(
    form, files, videos
):
    spreads = {}
    for bucketed in (False, True):
        reader = make_reader(files[form], bucketed)
        batches = list(reader.read_shuffled(1, 0, BUFFER))
        *full, last = [len(batch["id"]) for batch in batches]
        assert full == [BATCH] * len(full)
        assert last == sum(SIZES) % BATCH or BATCH
        read = unbatch(batches)
        assert [v["position"] for v in read] == [*range(1, sum(SIZES) + 1)]
        read.sort(key=lambda video: video["id"])
        assert_videos_read(read, videos, SCHEMA)
        lengths = [batch["num_frames"].numpy() for batch in batches]
        spreads[bucketed] = np.mean([np.ptp(each) for each in lengths])
        # The batches themselves are in no order.
        middles = [each.mean() for each in lengths[:BATCHES_SORTED]]
        assert abs(np.corrcoef(middles, range(BATCHES_SORTED))[0, 1]) < 0.7
    assert spreads[True] < spreads[False] / 5


def test_the_order_follows_from_seed_and_epoch(files):
    orders = {
        (seed, epoch): ids_of(
            make_reader(files["packed"]).read_shuffled(seed, epoch, BUFFER)
        )
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    }
    again = make_reader(files["packed"]).read_shuffled(0, 0, BUFFER)
    assert ids_of(again) == orders[0, 0]
    assert len(set(map(tuple, orders.values()))) == 3


@pytest.mark.parametrize(
    ("form", "on_bad_record", "min_frames"),
    [
        ("frames", "fail", 1),
        ("packed", "skip", 1),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (("packed", "fail", 1), ("frames", "skip", 5))
        ),
    ],
)
def test_a_second_reader_goes_on_from_every_position(
    form, on_bad_record, min_frames, files, videos, tmp_path
):
    paths = files[form]
    if on_bad_record == "skip":
        records = read_records(paths[0])
        for place in (0, 20, 30):
            records.insert(place, b"not a proto" * place)
        paths = [write_records(tmp_path / "0", records), *paths[1:]]
    reader = make_reader(
        paths, on_bad_record=on_bad_record, min_frames=min_frames
    )
    batches = list(reader.read_shuffled(2, 3, BUFFER))
    assert {len(batch["id"]) for batch in batches[:-1]} == {BATCH}
    read = sorted(unbatch(batches), key=lambda video: video["id"])
    kept = [v for v in videos if len(v.features["rgb"]) >= min_frames]
    assert_videos_read(read, kept, SCHEMA)
    # Amid a window, at its ends, and at the end of the pass.
    for done in (5, BATCHES_SORTED, len(batches) - 1):
        position = int(batches[done - 1]["position"][-1])
        rest = reader.read_shuffled(2, 3, BUFFER, position)
        assert_same_batches(rest, batches[done:])
    position = int(batches[-1]["position"][-1])
    assert not list(reader.read_shuffled(2, 3, BUFFER, position))


def test_streams_of_one_step_have_videos_of_similar_length(videos, tmp_path):
    """Several workers would otherwise wait for the one of long videos."""
    halves = np.array_split(np.arange(2 * WINDOW), 2)
    records = [video.serialize() for video in videos[: 2 * WINDOW]]
    paths = [
        write_records(tmp_path / str(n), [records[i] for i in half])
        for n, half in enumerate(halves)
    ]
    streams = [
        list(make_reader(paths).read_shuffled(1, 0, BUFFER, stream=(n, 2)))
        for n in range(2)
    ]
    names = [name for stream in streams for name in ids_of(stream)]
    assert sorted(names) == [video.id for video in videos[: 2 * WINDOW]]
    lengths = [
        [batch["num_frames"].numpy().mean() for batch in stream]
        for stream in streams
    ]
    assert len(lengths[0]) == len(lengths[1]) == BATCHES_SORTED
    assert np.corrcoef(*lengths)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("schema", "options", "name"),
    [
        (VIDEO_SCHEMA, {}, "video-level records"),
        (SEGMENTS, {}, "segments"),
        (SCHEMA, {"bootstrap_key": bootstrap_key(0)}, "a bootstrap"),
    ],
    ids=["video", "segments", "bootstrap"],
)
def test_other_examples_than_whole_videos_are_an_error(schema, options, name):
    message = (
        "bucket_by_length is for whole videos at frame level, each read once; "
        f"not for {name}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        VideoReader(schema, [], 4, bucket_by_length=True, **options)


def test_one_pass_without_shuffling_is_as_without_buckets(files):
    readers = [make_reader(files["frames"], each) for each in (True, False)]
    assert_same_batches(*[reader.read_once() for reader in readers])


def test_damage_in_a_file_ends_the_pass_or_the_file(files, tmp_path, capsys):
    contents = Path(files["frames"][0]).read_bytes()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(contents[:-5])
    paths = [str(damaged), *files["frames"][1:]]
    with pytest.raises(ValueError, match="truncated or corrupt"):
        list(make_reader(paths).read_shuffled(0, 0, BUFFER))
    read = make_reader(paths, on_bad_record="skip").read_shuffled(0, 0, BUFFER)
    assert len(ids_of(read)) == sum(SIZES) - 1
    assert "bytes are lost" in capsys.readouterr().out
