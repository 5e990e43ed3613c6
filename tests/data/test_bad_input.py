"""Bad files and records: a clear message, or skipped, counted and reported."""

import csv
import dataclasses
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from distill.data.bad_records import BadRecordError, name_video
from distill.data.pipeline import VideoReader
from tests.data.record_files import (
    FRAME_SCHEMA,
    SCHEMAS,
    VIDEO_SCHEMA,
    assert_videos_read,
    draw_videos,
    frame_record,
    ids_of,
    unbatch,
    write_records,
)
from tests.data.spoiled_records import (
    CASES,
    CORRUPT,
    DAMAGES,
    damage,
    draw_good,
    fill_in,
    narrow_frame,
    spoil_record,
)
from tests.hang_guard import HANG_SECONDS

SAME_NAMES = dataclasses.replace(
    VIDEO_SCHEMA, feature_names=FRAME_SCHEMA.feature_names
)


def skipping_reader(files, schema=FRAME_SCHEMA, batch_size=4):
    return VideoReader(schema, files, batch_size, on_bad_record="skip")


MODES = {
    "read_once": lambda reader: reader.read_once(),
    "read_shuffled": lambda reader: reader.read_shuffled(3, 1, 16),
}
every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


def read_bad(reader):
    """Reads all and returns the message of the error that this raises."""
    with pytest.raises(BadRecordError) as error:
        list(reader.read_once())
    return str(error.value)


@pytest.mark.parametrize(("level", "spoil", "reason", "problem"), CASES)
def test_bad_record_is_named(level, spoil, reason, problem, tmp_path):
    schema = SCHEMAS[level]
    videos = draw_good(schema, 6)
    records = [video.serialize() for video in videos]
    records[3] = spoil_record(videos[3], spoil)
    file = write_records(tmp_path / "a.tfrecord", records)
    message = read_bad(VideoReader(schema, [file], 4))
    assert f"{file}, record 3: {fill_in(problem, level)}" in message
    if reason:
        assert "--on_bad_record=skip" in message


def cases_in_files():
    """Puts the cases into few files: each names one record a reason."""
    files = {}
    for level, spoil, reason, problem in (case.values for case in CASES):
        number = 0
        while reason in files.setdefault((level, number), {}):
            number += 1
        files[level, number][reason] = spoil, problem
    return [(level, bad) for (level, _), bad in files.items()]


@pytest.mark.parametrize(("level", "bad"), cases_in_files())
def test_bad_records_are_left_out_counted_and_named(
    level, bad, tmp_path, capsys
):
    schema = SCHEMAS[level]
    videos = draw_good(schema, 2 * len(bad) + 1)
    records = [video.serialize() for video in videos]
    for index, (spoil, _) in enumerate(bad.values()):
        records[2 * index + 1] = spoil_record(videos[2 * index + 1], spoil)
    file = write_records(tmp_path / "a.tfrecord", records)
    read = unbatch(skipping_reader([file], schema).read_once())
    assert_videos_read(read, videos[::2], schema)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(bad)
    for index, (reason, (_, problem)) in enumerate(bad.items()):
        says = f"{file}, record {2 * index + 1}: {fill_in(problem, level)}"
        (line,) = (line for line in lines if says in line)
        counted = f"{reason}; for example" if reason else ""
        assert line.startswith(f"WARNING: skipped 1 records, {counted}")


def test_counts_are_exact_over_thousands_of_records(tmp_path, capsys):
    good, bad = draw_good(FRAME_SCHEMA, 2)
    records = [good.serialize(), spoil_record(bad, narrow_frame)]
    records += [good.serialize(), b"not a proto"]
    path = tmp_path / "a.tfrecord"
    path.write_bytes(b"".join(map(frame_record, records)) * 1500)
    read = ids_of(skipping_reader([str(path)], batch_size=256).read_once())
    assert read == [good.id] * 3000
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("WARNING: skipped 1500 records")


@every_mode
def test_bad_record_of_a_later_file_is_numbered_in_its_file(mode, tmp_path):
    files = []
    for index in range(3):
        videos = draw_good(FRAME_SCHEMA, 5, "abc"[index])
        records = [video.serialize() for video in videos]
        if index == 1:
            records[2] = spoil_record(videos[2], narrow_frame)
        files.append(write_records(tmp_path / f"{index}.tfrecord", records))
    reader = VideoReader(FRAME_SCHEMA, files, 4)
    with pytest.raises(BadRecordError) as error:
        list(mode(reader))
    assert str(error.value).startswith(f"{files[1]}, record 2: frame 2 of ")


@pytest.mark.parametrize(
    ("schema", "written", "says"),
    [
        (VIDEO_SCHEMA, FRAME_SCHEMA, "no feature 'mean_rgb' (--feature_names)"),
        (FRAME_SCHEMA, VIDEO_SCHEMA, "no feature 'rgb' (--feature_names)"),
        (FRAME_SCHEMA, SAME_NAMES, "record needs --frame_features=false"),
    ],
    ids=["frames read as floats", "floats read as frames", "same names"],
)
def test_records_of_the_other_level_are_said_to_lack_features(
    schema, written, says, tmp_path
):
    records = [video.serialize() for video in draw_good(written, 3)]
    file = write_records(tmp_path / "a.tfrecord", records)
    message = read_bad(VideoReader(schema, [file], 2))
    assert message.startswith(f"{file}, record 0: ")
    assert says in message


def write_damaged(folder, how):
    """Writes a good, a damaged and another good file of 6 records each."""
    files, videos = [], []
    for index, prefix in enumerate("abc"):
        videos.append(draw_videos(FRAME_SCHEMA, 6, index, prefix))
        framed = [frame_record(v.serialize()) for v in videos[-1]]
        path = folder / f"{prefix}.tfrecord"
        contents = damage(framed, how) if prefix == "b" else b"".join(framed)
        path.write_bytes(contents)
        files.append(str(path))
    whole = sum(len(frame_record(v.serialize())) for v in videos[1][:4])
    return files, videos, Path(files[1]).stat().st_size - whole


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_file_is_named_or_read_up_to_its_damage(how, tmp_path, capsys):
    files, videos, lost = write_damaged(tmp_path, how)
    says = f"{files[1]}, record 4: {CORRUPT}"
    message = read_bad(VideoReader(FRAME_SCHEMA, files, 4))
    assert says in message
    assert "4 records before it are whole" in message
    read = unbatch(skipping_reader(files).read_once())
    for index, count in enumerate((6, 4, 6)):
        prefix = "abc"[index].encode()
        part = [each for each in read if each["id"].startswith(prefix)]
        assert_videos_read(part, videos[index][:count], FRAME_SCHEMA)
    assert len(read) == 16
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("WARNING: ")
    assert f" {lost} bytes" in line
    assert says in line


def test_damage_and_bad_records_are_reported_together(tmp_path, capsys):
    videos = draw_good(FRAME_SCHEMA, 6)
    records = [video.serialize() for video in videos]
    records[1] = spoil_record(videos[1], narrow_frame)
    framed = list(map(frame_record, records))
    path = tmp_path / "a.tfrecord"
    path.write_bytes(damage(framed, "payload changed"))
    read = unbatch(skipping_reader([str(path)]).read_once())
    good = [videos[0], videos[2], videos[3]]
    assert_videos_read(read, good, FRAME_SCHEMA)
    skipped, damaged = capsys.readouterr().out.splitlines()
    assert skipped.startswith("WARNING: skipped 1 records, wrong width; ")
    lost = len(framed[4]) + len(framed[5])
    assert f" {lost} bytes" in damaged
    assert f"{path}, record 4: {CORRUPT}" in damaged


@pytest.mark.parametrize("on_bad_record", ["fail", "skip"])
def test_an_empty_data_set_is_an_error(on_bad_record, tmp_path):
    files = [write_records(tmp_path / f"{n}.tfrecord", []) for n in range(4)]
    reader = VideoReader(FRAME_SCHEMA, files, 4, on_bad_record=on_bad_record)
    message = read_bad(reader)
    assert re.search("^No (good )?record in 4 files", message)
    assert files[0] in message
    assert message.endswith(" ....")


@pytest.mark.parametrize("on_bad_record", ["fail", "skip"])
def test_an_empty_file_among_good_ones_is_passed_over(
    on_bad_record, tmp_path, capsys
):
    videos = draw_videos(FRAME_SCHEMA, 5)
    records = [video.serialize() for video in videos]
    files = [
        write_records(tmp_path / "a.tfrecord", []),
        write_records(tmp_path / "b.tfrecord", records),
        write_records(tmp_path / "c.tfrecord", []),
    ]
    reader = VideoReader(FRAME_SCHEMA, files, 2, on_bad_record=on_bad_record)
    assert_videos_read(unbatch(reader.read_once()), videos, FRAME_SCHEMA)
    assert capsys.readouterr().out == ""


@every_mode
def test_data_without_a_good_record_is_an_error(mode, tmp_path, capsys):
    videos = draw_good(FRAME_SCHEMA, 3)
    records = [spoil_record(video, narrow_frame) for video in videos]
    file = write_records(tmp_path / "a.tfrecord", records)
    reader = skipping_reader([file])
    with pytest.raises(BadRecordError) as error:
        list(mode(reader))
    assert str(error.value) == f"No good record in 1 files: {file}."
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("WARNING: skipped 3 records, wrong width; ")


def make_unreadable(path, what, monkeypatch):
    """Makes a path what no reader can open."""
    if what == "folder":
        path.mkdir()
    elif what == "link to nothing":
        path.symlink_to(path.with_name("nothing"))
    elif what == "socket":
        # It is there and opening it fails, as for a file one may not read;
        # that is nothing that root can be refused. Names must be short.
        monkeypatch.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    return str(path)


UNREADABLE = ["folder", "file that went away", "link to nothing", "socket"]


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_opened_is_named(what, tmp_path, monkeypatch):
    records = [video.serialize() for video in draw_videos(FRAME_SCHEMA, 3)]
    file = write_records(tmp_path / "a.tfrecord", records)
    unreadable = make_unreadable(tmp_path / "b.tfrecord", what, monkeypatch)
    message = read_bad(VideoReader(FRAME_SCHEMA, [file, unreadable], 2))
    assert message.startswith(unreadable)
    assert "function_node" not in message  # TensorFlow's own words


def test_what_cannot_be_opened_does_not_stall_skipping(tmp_path, monkeypatch):
    """Runs in a process of its own: a reader that stalls cannot be stopped."""
    records = [video.serialize() for video in draw_videos(FRAME_SCHEMA, 3)]
    file = write_records(tmp_path / "a.tfrecord", records)
    unreadable = [
        make_unreadable(tmp_path / what.replace(" ", "_"), what, monkeypatch)
        for what in UNREADABLE
    ]
    code = f"""
from distill.data.pipeline import VideoReader
from distill.settings.schema import DataSchema
for name in {unreadable!r}:
    reader = VideoReader(
        {FRAME_SCHEMA!r}, [{file!r}, name], 2, on_bad_record="skip"
    )
    try:
        list(reader.read_once())
    except ValueError as error:
        print(error)
"""
    try:
        done = subprocess.run(
            [sys.executable, "-u", "-c", code],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"reading does not end; so far it said {error.stdout}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(unreadable)
    for line, name in zip(lines, unreadable, strict=True):
        assert name in line


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"on_bad_record": "warn"},
            "Unknown on_bad_record 'warn'. Choices: fail, skip.",
        ),
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0."),
    ],
    ids=["on_bad_record", "batch_size"],
)
def test_a_reader_of_other_settings_is_refused(fields, says):
    fields = {"schema": FRAME_SCHEMA, "files": ["a"], "batch_size": 1} | fields
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        VideoReader(**fields)


@pytest.mark.parametrize(
    ("video_id", "name"),
    [
        (b"SjJ3", "SjJ3"),
        ("Zürich".encode(), "Zürich"),
        (b"a,b", r"a\x2cb"),
        (b'"a\r\nb\0', r"\x22a\x0d\x0ab\x00"),
        (b"\xff\xfe", r"\xff\xfe"),
    ],
)
def test_an_id_is_one_field_of_one_line(video_id, name):
    assert name_video(video_id) == name
    (row,) = csv.reader([f"{name_video(video_id)},1 0.5"])
    assert row == [name, "1 0.5"]
