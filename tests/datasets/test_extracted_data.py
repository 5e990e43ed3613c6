"""Features of videos become records, whatever happens on the way."""

import csv
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from distill.datasets import extracted_data
from distill.datasets.budget_shards import BudgetShards, KeptFrames
from distill.datasets.extracted_data import ExtractedData
from distill.datasets.video_list import VideoEntry, list_videos
from distill.models.frame_budget import FrameBudget
from distill.models.quantisation import quantize
from distill.settings.extraction import ExtractSettings
from distill.settings.video import BadVideoError, VideoSettings
from tests.task_runner import run_backwards
from tests.video.drawn_videos import draw_video, number_in

SETTINGS = ExtractSettings(
    num_shards=2, quantisation_min=-1.0, quantisation_max=1.0, num_processes=2
)
SECONDS = {"a": 3, "b": 7, "c": 12, "d": 1, "e": 5, "f": 9}
LABELS = {
    "a": ["cat"],
    "b": ["dog"],
    "c": ["cat", "dog"],
    "d": [],
    "e": ["cat"],
}


def features_of(numbers):
    """Returns float32 `[numbers, 4]`, known without any video."""
    numbers = np.asarray(numbers, np.float32)
    return np.stack([np.sin(numbers * k) for k in (0.1, 0.2, 0.3, 0.7)], axis=1)


class NumberExtractor:
    """Reads the number that each frame shows."""

    feature_names = ("rgb",)
    feature_sizes = (4,)

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.taken = []

    def identity(self):
        return {"rgb": ["numbers"]}

    def features(self, video, numbers):
        self.taken.append(list(numbers))
        if len(self.taken) == self.stop_at:
            raise KeyboardInterrupt
        shown = [number_in(frame) for frame in video.frames(numbers, (64, 64))]
        return {"rgb": features_of(shown)}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Returns six videos of 25 frames a second."""
    folder = tmp_path_factory.mktemp("videos")
    entries = []
    for name, seconds in SECONDS.items():
        path = draw_video(
            folder / f"{name}.mp4",
            range(0, 1000 * seconds, 40),
            options={"g": "25", "bf": "2"}.items(),
        )
        labels = tuple(LABELS.get(name, ["dog"]))
        entries.append(VideoEntry(name, str(path), labels))
    return entries


def extract(videos, folder, settings=SETTINGS, extractor=None, **budget):
    data = ExtractedData(
        videos,
        folder,
        extractor or NumberExtractor(),
        settings,
        limits=VideoSettings(),
        budget=FrameBudget.of(**budget) if budget else FrameBudget(),
    )
    return data, data.write()


def records_of(folder):
    """Returns every record by its id."""
    found = {}
    for path in sorted(folder.glob("*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            message = tf.train.SequenceExample.FromString(record)
            (name,) = message.context.feature["id"].bytes_list.value
            found[name.decode()] = message
    return found


def files_of(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_records_hold_one_frame_a_second(videos, tmp_path):
    _, packed = extract(videos, tmp_path / "out")
    records = records_of(tmp_path / "out")
    assert list(records) == list(SECONDS)
    for name, seconds in SECONDS.items():
        message = records[name]
        frames = message.feature_lists.feature_list["rgb"].feature
        held = [np.frombuffer(f.bytes_list.value[0], np.uint8) for f in frames]
        expected = features_of(25 * np.arange(seconds))
        np.testing.assert_array_equal(held, quantize(expected, -1.0, 1.0))
        labels = LABELS.get(name, ["dog"])
        indexes = [("cat", "dog").index(label) for label in labels]
        assert message.context.feature["labels"].int64_list.value == indexes
    assert packed.num_videos == {"train": 6}
    assert packed.class_names == ("cat", "dog")
    flags = (tmp_path / "out/dataset.cfg").read_text()
    assert "--max_frames=300\n" in flags
    assert "extract`: 6 train" in flags


BUDGETS = [
    {"every_n": 3},
    *(
        {"selection": name, "num_frames": 4}
        for name in ("uniform_k", "random_k", "nested_k", "segment_means")
    ),
]


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_a_budget_keeps_what_training_takes_of_whole_records(
    budget, videos, tmp_path
):
    data, _ = extract(videos, tmp_path / "whole")
    shards = BudgetShards(
        KeptFrames(data.schema, FrameBudget.of(**budget)),
        sorted(map(str, (tmp_path / "whole").glob("*.tfrecord"))),
        tmp_path / "cut",
    )
    shards.write(lambda *_: None, 1)
    extractor = NumberExtractor()
    extract(videos, tmp_path / "few", extractor=extractor, **budget)
    cut, few = records_of(tmp_path / "cut"), records_of(tmp_path / "few")
    assert list(cut) == list(few)
    for name, message in few.items():
        source = message.context.feature["source_file"].bytes_list
        assert source.value[:] == [f"{name}.mp4".encode()]
        source.value[:] = (
            cut[name].context.feature["source_file"].bytes_list.value
        )
        assert message == cut[name]
    if "means" not in str(budget):
        taken = sum(map(len, extractor.taken))
        assert taken < sum(SECONDS.values())
        assert taken == sum(
            len(m.feature_lists.feature_list["rgb"].feature)
            for m in few.values()
        )


@pytest.mark.parametrize("stop_at", [1, 3, 6])
def test_an_interrupted_call_goes_on(stop_at, videos, tmp_path):
    extract(videos, tmp_path / "straight")
    one = dataclasses.replace(SETTINGS, num_processes=1)
    with pytest.raises(KeyboardInterrupt):
        extract(videos, tmp_path / "out", one, NumberExtractor(stop_at))
    done = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "out").glob("*.tfrecord")
    }
    assert len(done) == (stop_at > 3)
    extractor = NumberExtractor()
    extract(videos, tmp_path / "out", SETTINGS, extractor)
    assert len(extractor.taken) == 6 - 3 * len(done)
    for path, moment in done.items():
        assert path.stat().st_mtime_ns == moment
    found, expected = (
        files_of(tmp_path / "out"),
        files_of(tmp_path / "straight"),
    )
    config = found.pop("dataset.cfg").replace(b"/out/", b"/straight/")
    assert config == expected.pop("dataset.cfg").replace(
        b"/out/", b"/straight/"
    )
    assert found["class_names.csv"] == expected["class_names.csv"]
    assert found.keys() == expected.keys()
    records = [name for name in found if name.endswith(".tfrecord")]
    assert len(records) == 2
    assert [found[name] for name in records] == [
        expected[name] for name in records
    ]


@pytest.mark.parametrize("budget", [{}, {"every_n": 3}], ids=str)
def test_workers_extract_what_one_process_extracts(
    budget, videos, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        extracted_data, "read_extractor", lambda path: NumberExtractor()
    )
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    listed = [*videos[:2], VideoEntry("x", str(bad)), *videos[2:]]
    skipping = dataclasses.replace(SETTINGS, on_bad_video="skip")
    _, one = extract(listed, tmp_path / "one", skipping, **budget)

    def make(settings):
        return ExtractedData(
            listed,
            tmp_path / "out",
            NumberExtractor(),
            settings,
            limits=VideoSettings(),
            budget=FrameBudget.of(**budget) if budget else FrameBudget(),
        )

    with pytest.raises(BadVideoError, match=r"bad\.mp4: FFmpeg: Invalid"):
        make(SETTINGS).write_by(run_backwards, tmp_path / "extractor.json")
    assert make(skipping).write_by(run_backwards, tmp_path / "e.json") == one
    found, expected = files_of(tmp_path / "out"), files_of(tmp_path / "one")
    config = found.pop("dataset.cfg").replace(b"/out/", b"/one/")
    assert config == expected.pop("dataset.cfg")
    assert found == expected


def test_a_bad_video_stops_or_is_listed(videos, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    listed = [*videos[:2], VideoEntry("x", str(bad)), *videos[2:]]
    with pytest.raises(BadVideoError, match=r"bad\.mp4: FFmpeg: Invalid data"):
        extract(listed, tmp_path / "out")
    skipping = dataclasses.replace(SETTINGS, on_bad_video="skip")
    _, packed = extract(listed, tmp_path / "out", skipping)
    assert packed.num_videos == {"train": 6}
    assert list(records_of(tmp_path / "out")) == list(SECONDS)
    with (tmp_path / "out/bad_videos.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["path"] == str(bad)
    assert row["reason"].endswith(
        "bad.mp4: FFmpeg: Invalid data found when processing input."
    )
    with pytest.raises(BadVideoError, match="Every video is bad: "):
        extract(
            listed[2:3],
            tmp_path / "none",
            dataclasses.replace(skipping, num_classes=2),
        )


def test_results_of_other_settings_are_kept(videos, tmp_path):
    extract(videos, tmp_path / "out")
    for change in ({"max_frames": 5}, {"float_frames": True}):
        other = dataclasses.replace(SETTINGS, **change)
        with pytest.raises(ValueError, match="extracted with other records"):
            extract(videos, tmp_path / "out", other)
    with pytest.raises(ValueError, match="extracted with other videos"):
        extract(videos[1:], tmp_path / "out")
    with pytest.raises(ValueError, match="extracted with other budget"):
        extract(videos, tmp_path / "out", every_n=2)


def test_clipped_numbers_are_counted(videos, tmp_path):
    narrow = dataclasses.replace(
        SETTINGS, quantisation_min=-0.5, quantisation_max=0.5
    )
    _, packed = extract(videos, tmp_path / "out", narrow)
    numbers = [features_of(25 * np.arange(s)) for s in SECONDS.values()]
    outside = np.abs(np.concatenate(numbers)) > 0.5
    assert packed.clipped == pytest.approx(outside.mean())
    floats = dataclasses.replace(SETTINGS, float_frames=True)
    _, packed = extract(videos, tmp_path / "floats", floats)
    assert packed.clipped is None
    message = records_of(tmp_path / "floats")["b"]
    frames = message.feature_lists.feature_list["rgb"].feature
    np.testing.assert_array_equal(
        [frame.float_list.value for frame in frames],
        features_of(25 * np.arange(7)),
    )


def test_videos_are_listed_from_a_manifest_a_folder_or_globs(tmp_path):
    for name in ("cat/1.mp4", "dog/2.MP4", "3.webm", "cat/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    manifest = tmp_path / "list.csv"
    manifest.write_text("path,labels,split\ncat/1.mp4,0;4,validate\n3.webm,,\n")
    one, three = (str(tmp_path / name) for name in ("cat/1.mp4", "3.webm"))
    assert list_videos(str(manifest)) == [
        VideoEntry("cat/1", one, ("0", "4"), "validate"),
        VideoEntry("3", three),
    ]
    assert list_videos(str(tmp_path)) == [
        VideoEntry("3.webm", three),
        VideoEntry("cat/1.mp4", one, ("cat",)),
        VideoEntry("dog/2.MP4", str(tmp_path / "dog/2.MP4"), ("dog",)),
    ]
    globs = f"{tmp_path}/*/1.mp4,{three}"
    assert list_videos(globs) == [
        VideoEntry("3.webm", three),
        VideoEntry("1.mp4", one),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,labels\n", "names no video"),
        ("file,labels\na,0\n", "has no column 'path'"),
        ("id,path\na,b.mp4\na,c.mp4\n", "have the same id, 'a'"),
        ("path\na,b\n", "line 2: it must have 1 fields"),
    ],
)
def test_a_bad_list_is_named(text, words, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        list_videos(str(path))
