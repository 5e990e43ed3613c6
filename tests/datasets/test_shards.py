"""Shards made of other files: written whole, gone on with, never misplaced."""

import dataclasses
import errno
import os
import re
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.datasets import budget_shards, joined_clips, synthetic
from distill.datasets.budget_shards import BudgetShards, KeptFrames
from distill.datasets.joined_clips import JoinedVideos
from distill.datasets.synthetic import write_synthetic_data
from distill.models.frame_budget import FrameBudget
from distill.settings.join import JoinSettings
from distill.settings.schema import make_schema
from distill.settings.synthetic import SyntheticSettings
from distill.system.storage import local_copy
from tests.data import spoiled_records as spoiled
from tests.data.record_files import (
    FRAME_SCHEMA,
    draw_videos,
    frame_record,
    write_records,
)
from tests.datasets.written_shards import contents_of, write_files
from tests.hang_guard import HANG_SECONDS

ROOT = Path(__file__).parents[2]
SCHEMA = dataclasses.replace(FRAME_SCHEMA, max_frames=6)
CLIPS = draw_videos(FRAME_SCHEMA, 23, seed=1)
UNIFORM = FrameBudget("uniform_k", num_frames=3)


def cut(files, folder):
    written = {}
    shards = BudgetShards(KeptFrames(SCHEMA, UNIFORM), files, folder)
    shards.write(lambda path, new: written.update({path.name: new}), 1)
    return written


JOIN = JoinSettings(SCHEMA, "v", num_clips=4, num_shards=3, seed=5)


def join(files, folder, **changes):
    settings = dataclasses.replace(JOIN, **changes)
    written = JoinedVideos(settings, files, folder).write()
    return {path.name: new for path, new in written}


SYNTHETIC = SyntheticSettings(
    "v", 12, num_shards=3, feature_sizes=(3, 2), num_classes=5, max_frames=6
)


def synthesize(files, folder, **changes):
    settings = dataclasses.replace(SYNTHETIC, **changes)
    written = write_synthetic_data(settings, folder)
    return {path.name: new for path, new in written}


@dataclasses.dataclass
class Writer:
    """One of the ways to make shards; its `hook` is called for every video."""

    write: Callable
    module: types.ModuleType
    hook: str
    interrupt_at: int  # number of the hook's call
    num_whole: int  # shards by then
    description: str
    verb: tuple[str, ...] = ()


WRITERS = {
    "budget": Writer(
        cut,
        budget_shards,
        "keep_frames",
        15,
        2,
        "budget_shards.json",
        ("write_budget_shards", "--frame_budget=3", "--num_workers=1"),
    ),
    "joined": Writer(
        join,
        joined_clips,
        "join_clips",
        4,
        1,
        "joined_v.json",
        (
            "join_clips",
            "--output_prefix=v",
            "--num_clips=4",
            "--num_shards=3",
            "--seed=5",
        ),
    ),
    "synthetic": Writer(
        synthesize,
        synthetic,
        "to_sequence_example",
        7,
        1,
        "settings_v.json",
    ),
}
every_writer = pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
# Those that read other files.
rewriters = pytest.mark.parametrize(
    "writer",
    [WRITERS["budget"], WRITERS["joined"]],
    ids=["budget", "joined"],
)


@pytest.fixture
def files(tmp_path):
    """Three files of the 23 clips."""
    bounds = [(0, 9), (9, 10), (10, 23)]
    return write_files(
        tmp_path / "clips", [clip.message() for clip in CLIPS], bounds
    )


@every_writer
def test_shards_that_are_there_are_kept(writer, files, tmp_path):
    folder = tmp_path / "out"
    assert list(writer.write(files, folder).values()) == [True] * 3
    paths = sorted(folder.glob("*.tfrecord"))
    times = [path.stat().st_mtime_ns for path in paths]
    assert list(writer.write(files, folder).values()) == [False] * 3
    assert [path.stat().st_mtime_ns for path in paths] == times


@every_writer
def test_a_shard_that_went_missing_is_written_again(writer, files, tmp_path):
    writer.write(files, tmp_path / "out")
    contents = contents_of(tmp_path / "out")
    sorted((tmp_path / "out").glob("*.tfrecord"))[1].unlink()
    written = writer.write(files, tmp_path / "out")
    assert list(written.values()) == [False, True, False]
    assert contents_of(tmp_path / "out") == contents


@pytest.mark.parametrize(
    ("write", "changes"),
    [
        *((write, {"seed": 4}) for write in (join, synthesize)),
        *((write, {"num_shards": 2}) for write in (join, synthesize)),
        (join, {"num_clips": 3}),
        (join, {"repeats": 2}),
        (join, {"schema": dataclasses.replace(SCHEMA, max_frames=2)}),
        (synthesize, {"num_videos": 25}),
        (synthesize, {"scene_strength": 0.5}),
        (synthesize, {"feature_names": ("image", "sound")}),
    ],
)
def test_changed_settings_write_every_shard_anew(
    write, changes, files, tmp_path
):
    write(files, tmp_path / "a")
    old = contents_of(tmp_path / "a")
    assert all(write(files, tmp_path / "a", **changes).values())
    write(files, tmp_path / "b", **changes)
    assert contents_of(tmp_path / "a") == contents_of(tmp_path / "b") != old


@every_writer
def test_interrupted_writing_leaves_whole_shards_and_goes_on(
    writer, files, tmp_path, monkeypatch
):
    written = list(writer.write(files, tmp_path / "whole"))
    hooked, calls = getattr(writer.module, writer.hook), []
    stopped = threading.Event()

    def interrupt(*arguments):
        calls.append(0)
        if len(calls) == writer.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
            # The thread that waits for this one hears of it.
            assert stopped.wait(HANG_SECONDS)
        return hooked(*arguments)

    folder = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(writer.module, writer.hook, interrupt)
        events = types.SimpleNamespace(Event=lambda: stopped)
        patch.setattr(budget_shards, "threading", events)
        # A program in the background would ignore the signal.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                writer.write(files, folder)
        finally:
            signal.signal(signal.SIGINT, before)
    assert {path.name for path in folder.iterdir()} == {
        writer.description,
        *written[: writer.num_whole],
    }
    again = list(writer.write(files, folder).values())
    assert again == [n >= writer.num_whole for n in range(3)]
    assert contents_of(folder) == contents_of(tmp_path / "whole")


KILLED = """
import os
import {module} as module
calls = []
hooked = module.{hook}
def kill(*arguments):
    calls.append(0)
    if len(calls) == {interrupt_at}:
        os.kill(os.getpid(), 9)
    return hooked(*arguments)
module.{hook} = kill
"""


def run_command(writer, files, folder, *flags, before=""):
    """Runs the command, after some lines of Python."""
    verb, *own_flags = writer.verb
    arguments = [
        verb,
        f"--input_data_pattern={','.join(files)}",
        f"--output_dir={folder}",
        "--feature_sizes=3,2",
        "--num_classes=5",
        "--max_frames=6",
        *own_flags,
        *flags,
    ]
    code = f"from distill.cli.main import main\n{before}\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@rewriters
def test_a_killed_command_goes_on_to_the_same_bytes(writer, files, tmp_path):
    writer.write(files, tmp_path / "whole")
    folder = tmp_path / "killed"
    before = KILLED.format(
        module=writer.module.__name__,
        hook=writer.hook,
        interrupt_at=writer.interrupt_at,
    )
    killed = run_command(writer, files, folder, before=before)
    assert killed.returncode == -9, killed.stderr
    assert len(contents_of(folder)) == writer.num_whole
    done = run_command(writer, files, folder)
    assert (done.returncode, done.stderr) == (0, "")
    paths = sorted(folder.glob("*.tfrecord"))
    assert done.stdout.splitlines()[:3] == [
        f"{'kept' if index < writer.num_whole else 'wrote'} {path} "
        f"({path.stat().st_size / 1e6:.1f} MB)"
        for index, path in enumerate(paths)
    ]
    assert contents_of(folder) == contents_of(tmp_path / "whole")


@pytest.mark.slow
@rewriters
def test_an_error_of_the_command_is_one_line(writer, files, tmp_path):
    done = run_command(writer, files, tmp_path, "--feature_sizes=3,1")
    assert done.returncode == 1
    assert done.stderr == (
        f"ERROR: {files[0]}, record 0: frame 0 of feature 'audio' has 2 bytes "
        "instead of 1 (--feature_sizes).\n"
    )


@rewriters
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoiled.rename("id", "video_id"), "no id under the key 'id'"),
        (spoiled.set_label(5), "label 5 is outside the 5 classes"),
        (
            spoiled.rename("audio", "sound"),
            "no feature 'audio' (--feature_names)",
        ),
        (spoiled.short_audio, "its feature lists differ in their number of"),
        (spoiled.no_frames, "a video with no frames"),
        (spoiled.narrow_frame, "frame 2 of feature 'audio' has 1 bytes"),
        (
            spoiled.append("frame_budget", "bytes_list", b"first_k=1"),
            "it holds the frames first_k=1 alone; wanted are all "
            "(--frame_selection, --frame_budget, --every_n; teachers, "
            "--frame_dropout and --student_views read all)",
        ),
    ],
)
def test_a_bad_record_is_named_and_its_file_not_written(
    writer, spoil, says, files, tmp_path
):
    good = spoiled.draw_good(SCHEMA, 5)
    records = [video.serialize() for video in good]
    records[3] = spoiled.spoil_record(good[3], spoil)
    bad = write_records(tmp_path / "z.tfrecord", records)
    with pytest.raises(BadRecordError) as error:
        writer.write([*files, bad], tmp_path / "out")
    assert str(error.value).startswith(f"{bad}, record 3: {says}")
    assert not (tmp_path / "out" / "z.tfrecord").exists()


@rewriters
@pytest.mark.parametrize("how", spoiled.DAMAGES)
def test_a_damaged_file_is_named(writer, how, tmp_path):
    framed = [frame_record(clip.serialize()) for clip in CLIPS[:6]]
    path = tmp_path / "clips.tfrecord"
    path.write_bytes(spoiled.damage(framed, how))
    says = re.escape(f"{path}, record 4: {spoiled.CORRUPT}")
    with pytest.raises(BadRecordError, match=f"^{says}"):
        writer.write([str(path)], tmp_path / "out")
    assert not contents_of(tmp_path / "out")


@rewriters
def test_files_without_records_are_refused(writer, tmp_path):
    files = [write_records(tmp_path / name, []) for name in "ab"]
    says = f"No record in 2 files: {tmp_path}/a, {tmp_path}/b."
    with pytest.raises(BadRecordError, match=f"^{re.escape(says)}$"):
        writer.write(files, tmp_path / "out")


@rewriters
@pytest.mark.parametrize("linked", [False, True])
def test_inputs_are_never_replaced(writer, linked, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "v-00000-of-00003.tfrecord"
    write_records(path, [clip.serialize() for clip in CLIPS])
    contents, file = path.read_bytes(), path
    if linked:
        file = tmp_path / path.name
        file.symlink_to(path)
    says = f"{path} would be replaced, but it is one of the inputs: give"
    with pytest.raises(ValueError, match=re.escape(says)):
        writer.write([str(file)], folder)
    assert path.read_bytes() == contents


@rewriters
def test_files_of_unknown_origin_are_never_replaced(writer, files, tmp_path):
    (name, *_) = writer.write(files, tmp_path / "a")
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / name
    path.write_bytes(b"dear")
    says = f"{path} would be replaced, but no {writer.description} says"
    with pytest.raises(ValueError, match=re.escape(says)):
        writer.write(files, tmp_path / "out")
    assert path.read_bytes() == b"dear"


@rewriters
def test_output_of_an_unknown_scheme_is_refused(writer, files):
    with pytest.raises(ValueError, match="nosuch:// is not supported"):
        writer.write(files, "nosuch://bucket/folder")


@every_writer
def test_shards_in_cloud_storage_are_those_on_disk(writer, files, tmp_path):
    folder = f"ram://{tmp_path.name}"
    names = writer.write(files, tmp_path / "local").keys()
    for is_new in (True, False):
        assert writer.write(files, folder) == dict.fromkeys(names, is_new)
    with local_copy(folder) as copy:
        for path in (tmp_path / "local").iterdir():
            assert (copy / path.name).read_bytes() == path.read_bytes()


@rewriters
def test_a_full_disk_is_named(writer, files, tmp_path, monkeypatch):
    def fail(*arguments):
        words = os.strerror(errno.ENOSPC)
        raise tf.errors.ResourceExhaustedError(None, None, words)

    monkeypatch.setattr(writer.module, writer.hook, fail)
    says = "tfrecord cannot be written: No space left on device; "
    with pytest.raises(OSError, match=says):
        writer.write(files, tmp_path / "out")


@pytest.mark.parametrize(
    "make",
    [lambda s: KeptFrames(s, UNIFORM), lambda s: JoinSettings(s, "v", 4)],
)
@pytest.mark.parametrize(
    "layout", [{"frame_features": False}, {"segment_labels": True}]
)
def test_other_layouts_than_whole_videos_are_refused(make, layout):
    with pytest.raises(ValueError, match="Only whole frame-level videos can"):
        make(make_schema("yt8m_2018", **layout))


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda s: KeptFrames(s, UNIFORM), "source_file"),
        (lambda s: JoinSettings(s, "v", 4), "clip_ids"),
        (lambda s: JoinSettings(s, "v", 4), "clip_frames"),
    ],
)
@pytest.mark.parametrize("name", ["id_key", "labels_key"])
def test_keys_that_name_the_source_are_refused(make, key, name):
    schema = dataclasses.replace(SCHEMA, **{name: key})
    with pytest.raises(ValueError, match=f"^{name} '{key}' is a key under"):
        make(schema)
