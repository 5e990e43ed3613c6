"""Data sets that workers pack and check are those of one process."""

import dataclasses
import json

import numpy as np
import pytest

from distill.data.bad_records import Expected
from distill.datasets.array_sources import open_arrays
from distill.datasets.check.check import Split, check_splits_by
from distill.datasets.check.file_check import FileChecker, FileFindings
from distill.datasets.pack import write_records
from distill.datasets.packed_shards import PackedShards
from distill.settings.pack import PackSettings
from tests.data.record_files import FRAME_SCHEMA, draw_videos
from tests.data.record_files import write_records as write_file
from tests.datasets.test_pack import SOURCES, draw_arrays
from tests.task_runner import files_of, run_backwards

SPLIT = PackSettings(num_shards=3, validate_fraction=0.4)
AUTO = dataclasses.replace(SPLIT, quantisation_range="auto")


def pack(source, folder, settings=SPLIT, run=run_backwards, names=None):
    return PackedShards(source, folder, settings, names, run).write()


def without_paths(files, folder):
    """Returns files in which the data set's own folder has no name."""
    text = files["dataset.cfg"].replace(str(folder).encode(), b"")
    others = {n: held for n, held in files.items() if n != "pack.json"}
    return others | {"dataset.cfg": text}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("settings", [SPLIT, AUTO], ids=["fixed", "auto"])
def test_workers_pack_the_files_of_one_process(kind, settings, tmp_path):
    source = open_arrays(SOURCES[kind](tmp_path / "arrays", draw_arrays(20)))
    here, there = tmp_path / "here", tmp_path / "there"
    packed = write_records(source, here, settings)
    assert pack(source, there, settings) == packed
    found = without_paths(files_of(there), there)
    assert found == without_paths(files_of(here), here)
    assert sum(name.endswith(".tfrecord") for name in found) == 6
    # The one process replaces what workers have packed.
    assert write_records(source, there, settings) == packed
    assert without_paths(files_of(there), there) == found


def test_packing_goes_on_with_the_shards_that_are_missing(tmp_path):
    source = open_arrays(SOURCES["npz"](tmp_path / "in", draw_arrays(20)))

    def run_some(make_work, tasks):
        run_backwards(make_work, tasks[:4])

    with pytest.raises(ValueError, match="was not written: repeat"):
        pack(source, tmp_path / "out", SPLIT, run_some, ("ant", "cat", "dog"))
    done = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "out").glob("[a-z]*.tfrecord")
    }
    assert len(done) == 4
    assert not (tmp_path / "out/dataset.cfg").exists()
    pack(source, tmp_path / "out", names=("ant", "cat", "dog"))
    write_records(source, tmp_path / "all", SPLIT)
    records = files_of(tmp_path / "out", ".tfrecord")
    assert records == files_of(tmp_path / "all", ".tfrecord")
    assert {p: p.stat().st_mtime_ns for p in done} == done
    with pytest.raises(ValueError, match="were packed with other records"):
        pack(source, tmp_path / "out", AUTO)
    with pytest.raises(ValueError, match=r"no pack\.json says"):
        pack(source, tmp_path / "all")


def spoil(videos, number, change):
    name = list(videos)[number]
    features, labels = videos[name]
    videos[name] = change(features), labels
    return name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: {"rgb": f["rgb"]}, "no feature 'audio'"),
        (lambda f: f | {"rgb": f["rgb"][:, :2]}, "in the videos before 3"),
        (lambda f: f | {"rgb": f["rgb"] * np.nan}, "holds the value nan"),
        (
            lambda f: {n: np.ones_like(a, np.uint8) for n, a in f.items()},
            "whole numbers, in the videos before floats",
        ),
    ],
)
def test_a_bad_video_is_named_as_by_one_process(change, words, tmp_path):
    videos = draw_arrays(9)
    name = spoil(videos, 6, change)
    source = open_arrays(SOURCES["npz"](tmp_path / "in", videos))
    with pytest.raises(ValueError, match=words) as one:
        write_records(source, tmp_path / "one")
    with pytest.raises(ValueError, match=words) as many:
        pack(source, tmp_path / "many")
    assert f"{name}.npz: " in str(many.value)
    assert str(many.value) == str(one.value)
    assert not (tmp_path / "many/dataset.cfg").exists()


def test_an_id_that_comes_twice_is_named(tmp_path):
    folder = SOURCES["npz"](tmp_path / "in", draw_arrays(3))
    manifest = folder / "list.csv"
    manifest.write_text("id,path,labels\na,v0.npz,0\nb,v1.npz,1\na,v2.npz,0\n")
    with pytest.raises(ValueError, match=r"line 4.*another video has the id"):
        pack(open_arrays(manifest), tmp_path / "out")


def test_findings_outlive_json(tmp_path):
    records = [video.serialize() for video in draw_videos(FRAME_SCHEMA, 12)]
    records[3] = b"no record"
    file = write_file(tmp_path / "a", [*records, records[0]])
    found = FileChecker(Expected(FRAME_SCHEMA)).check(file)
    again = FileFindings.from_json(json.loads(json.dumps(found.to_json())))
    for name, value in vars(found).items():
        if name == "label_pairs":
            assert [*again.label_pairs.most_frequent(99)] == [
                *value.most_frequent(99)
            ]
        else:
            assert np.array_equal(getattr(again, name), value), name
    assert found.bad
    assert found.ids


def test_workers_report_what_one_process_reports(tmp_path):
    records = [video.serialize() for video in draw_videos(FRAME_SCHEMA, 40)]
    records[13] = b"no record"
    files = [
        write_file(tmp_path / f"{n}.tfrecord", records[10 * n : 10 * n + 11])
        for n in range(4)
    ]
    with open(files[2], "r+b") as file:
        file.truncate(500)
    split = Split(files, Expected(FRAME_SCHEMA))
    splits = {
        "train": split,
        "eval": dataclasses.replace(split, files=files[:1]),
    }
    found = check_splits_by(run_backwards, splits, tmp_path / "report")
    assert not list(tmp_path.glob(".report*"))
    # One process, file by file, without any JSON between.
    checker = FileChecker(split.expected)
    for number, file in enumerate(files):
        alone, row = checker.check(file), found.splits["train"].by_file[number]
        assert row["file"] == file
        assert row["good"] == alone.num_good
        assert row["bad"] == dict(alone.bad)
        assert row["damage"] == alone.damage
    assert found.splits["train"].bad["unreadable"] == 1
    assert ("train", "train") in found.duplicates
    assert ("train", "eval") in found.duplicates
