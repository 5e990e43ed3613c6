"""Every writer writes both forms of records, and one changes the form."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from distill.data.bad_records import BadRecordError, Expected
from distill.data.pipeline import VideoReader
from distill.datasets.budget_shards import BudgetShards, KeptFrames
from distill.datasets.check.file_check import FileChecker
from distill.datasets.joined_clips import JoinedVideos
from distill.datasets.pack import write_records as write_packed_arrays
from distill.datasets.synthetic import write_synthetic_data
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.settings.join import JoinSettings
from distill.settings.pack import PackSettings
from distill.settings.schema import RECORD_FORMS
from distill.settings.synthetic import SyntheticSettings
from tests.data.record_files import (
    assert_same_batches,
    pack_message,
    read_records,
)
from tests.datasets.test_budget_shards import (
    BOUNDS,
    MEANS,
    MESSAGES,
    SCHEMA,
    UNIFORM,
    VIDEOS,
)
from tests.datasets.written_shards import contents_of, write_files

# As all writers write them; the list of times stays a list.
PLAIN = [each.SerializeToString(deterministic=True) for each in MESSAGES]


def pack(record):
    """Returns the bytes of a record's packed form."""
    message = pack_message(tf.train.SequenceExample.FromString(record), SCHEMA)
    return message.SerializeToString(deterministic=True)


def convert(files, folder, record_form, budget=ALL_FRAMES):
    """Writes shards of a form; returns their files."""
    settings = KeptFrames(SCHEMA, budget, record_form)
    shards = BudgetShards(settings, files, folder)
    sizes = shards.write(lambda path, is_new: None, 2)
    assert sizes["videos"] == len(VIDEOS)
    return sorted(map(str, folder.glob("*.tfrecord")))


def records_of(files):
    return [record for file in files for record in read_records(file)]


@pytest.fixture
def files(tmp_path):
    whole = [tf.train.SequenceExample.FromString(each) for each in PLAIN]
    return write_files(tmp_path / "whole", whole, BOUNDS)


def test_whole_videos_change_their_form_and_lose_nothing(files, tmp_path):
    packed = convert(files, tmp_path / "packed", "packed")
    assert records_of(packed) == list(map(pack, PLAIN))
    again = convert(packed, tmp_path / "again", "frames")
    assert records_of(again) == PLAIN
    same = convert(packed, tmp_path / "same", "packed")
    assert records_of(same) == records_of(packed)
    checked = FileChecker(Expected(SCHEMA)).check(packed[0])
    lengths = [len(v.features["rgb"]) for v in VIDEOS[: BOUNDS[0][1]]]
    assert sorted(checked.frame_counts.elements()) == sorted(lengths)
    assert checked.num_good == len(lengths)
    assert not checked.bad


@pytest.mark.parametrize("budget", [UNIFORM, MEANS], ids=lambda b: b.name)
@pytest.mark.parametrize("source", RECORD_FORMS)
def test_a_budget_s_frames_are_the_same_in_both_forms(budget, source, tmp_path):
    messages = [video.message() for video in VIDEOS]
    if source == "packed":
        messages = [pack_message(each, SCHEMA) for each in messages]
    files = write_files(tmp_path / "whole", messages, BOUNDS)
    written = {
        form: convert(files, tmp_path / str(form), form, budget)
        for form in (*RECORD_FORMS, None)
    }
    assert records_of(written[None]) == records_of(written[source])
    frames, packed = (records_of(written[form]) for form in RECORD_FORMS)
    assert packed == list(map(pack, frames))
    expected, found = (
        VideoReader(SCHEMA, written[form], 7, budget=budget).read_once()
        for form in RECORD_FORMS
    )
    assert_same_batches(found, expected)


def test_shards_of_another_form_are_not_mixed(files, tmp_path):
    convert(files, tmp_path / "out", "packed", UNIFORM)
    before = contents_of(tmp_path / "out")
    says = "written with record_form='packed', not 'frames': give another"
    with pytest.raises(ValueError, match=re.escape(says)):
        convert(files, tmp_path / "out", "frames", UNIFORM)
    assert contents_of(tmp_path / "out") == before


def test_shards_of_before_the_forms_are_known(files, tmp_path):
    folder = tmp_path / "out"
    convert(files, folder, None, UNIFORM)
    description = folder / "budget_shards.json"
    described = json.loads(description.read_text())
    del described["settings"]["record_form"]
    description.write_text(json.dumps(described))
    settings = KeptFrames(SCHEMA, UNIFORM)
    shards = BudgetShards(settings, files, folder)
    assert not shards.write(lambda path, is_new: None, 1)


@pytest.mark.parametrize(
    ("key", "form"), [("rgb", "packed"), ("rgb", "frames")]
)
def test_a_record_that_cannot_be_packed_is_named(key, form, tmp_path):
    message = VIDEOS[0].message()
    message.context.feature[key].bytes_list.value.append(b"")
    files = write_files(tmp_path / "whole", [message], [(0, 1)])
    settings = KeptFrames(SCHEMA, UNIFORM, form)
    shards = BudgetShards(settings, files, tmp_path / "out")
    if form == "frames":
        assert shards.write(lambda path, is_new: None, 1)["videos"] == 1
        return
    says = f"{files[0]}, record 0: the context has the key 'rgb', under which"
    with pytest.raises(BadRecordError, match=re.escape(says)):
        shards.write(lambda path, is_new: None, 1)
    assert not contents_of(tmp_path / "out")


def test_clips_of_either_form_are_joined_to_either_form(files, tmp_path):
    packed_clips = convert(files, tmp_path / "clips", "packed")
    written = {}
    for form in RECORD_FORMS:
        for name, clips in (("frames", files), ("packed", packed_clips)):
            settings = JoinSettings(
                schema=SCHEMA,
                output_prefix="train",
                num_clips=3,
                num_shards=2,
                record_form=form,
            )
            folder = tmp_path / f"{name} to {form}"
            videos = JoinedVideos(settings, clips, folder)
            paths = [str(path) for path, _ in videos.write()]
            written[name, form] = records_of(paths)
    assert written["packed", "frames"] == written["frames", "frames"]
    assert written["packed", "packed"] == written["frames", "packed"]
    assert (
        list(map(pack, written["frames", "frames"]))
        == (written["frames", "packed"])
    )


def test_synthetic_videos_are_the_same_in_both_forms(tmp_path):
    records = {}
    for form in RECORD_FORMS:
        settings = SyntheticSettings(
            "train",
            5,
            num_shards=2,
            feature_sizes=(3, 2),
            num_classes=5,
            max_frames=9,
            min_frames=5,
            rated_segments=1,
            record_form=form,
        )
        shards = write_synthetic_data(settings, tmp_path / form)
        records[form] = records_of([path for path, _ in shards])
    assert list(map(pack, records["frames"])) == records["packed"]


@pytest.mark.parametrize("float_frames", [False, True])
def test_arrays_are_packed_in_both_forms(float_frames, tmp_path):
    random = np.random.default_rng(0)
    videos = [
        (f"v{n}", {"rgb": random.random((n + 1, 3), np.float32)}, [n % 2])
        for n in range(5)
    ]
    batches = []
    for form in RECORD_FORMS:
        settings = PackSettings(
            float_frames=float_frames, record_form=form, num_shards=2
        )
        data = write_packed_arrays(videos, tmp_path / form, settings)
        files = sorted(map(str, (tmp_path / form).glob("*.tfrecord")))
        for record in records_of(files):
            message = tf.train.SequenceExample.FromString(record)
            held_in_context = "rgb" in message.context.feature
            assert held_in_context == (form == "packed")
        batches.append(VideoReader(data.schema, files, 2).read_once())
    assert_same_batches(*batches)


def test_a_feature_of_the_name_of_a_key_cannot_be_packed(tmp_path):
    videos = [("v0", {"labels": np.zeros((2, 3))}, [0])]
    settings = PackSettings(record_form="packed")
    says = "Video 'v0': the context has the key 'labels', under which"
    with pytest.raises(ValueError, match=re.escape(says)):
        write_packed_arrays(videos, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="Unknown record_form 'lists'"):
        PackSettings(record_form="lists")
    with pytest.raises(ValueError, match="Unknown record_form 'lists'"):
        KeptFrames(SCHEMA, FrameBudget.every(2), "lists")
