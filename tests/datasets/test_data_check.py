"""Findings on files and splits: every bad record, damage and doubled id."""

import collections
import csv
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from distill.data.bad_records import Expected
from distill.data.tfrecords import masked_checksum
from distill.datasets.check import file_check, processes
from distill.datasets.check.check import (
    DataFindings,
    Split,
    SplitFindings,
    check_splits,
)
from distill.datasets.check.file_check import FileChecker
from distill.datasets.check.plots import draw_plots
from distill.datasets.check.processes import map_in_processes
from distill.datasets.check.report import make_directory, write_report
from distill.datasets.check.sections import measure_lengths
from distill.datasets.check.video_ids import VideoIds, keep_first
from distill.models.frame_budget import FrameBudget
from tests.data.mutations import encode_field
from tests.data.record_files import (
    FRAME_SCHEMA,
    SCHEMAS,
    draw_videos,
    frame_record,
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
    set_label,
    spoil_record,
)
from tests.datasets.odd_jobs import Doer
from tests.hang_guard import HANG_SECONDS, wait_until
from tests.memory_growth import memory_grows_by_at_most
from tests.segment_records import SCHEMA as SEGMENT_SCHEMA
from tests.segment_records import draw_rated_videos

CHECKERS = {
    level: FileChecker(Expected(schema)) for level, schema in SCHEMAS.items()
}


def ids_of(found):
    return [video_id.decode() for _, video_id in found.ids]


def numbers_of(found):
    return [number for number, _ in found.ids]


def test_checksums_are_those_of_the_castagnoli_polynomial():
    # Check value of CRC-32C in Koopman's and in RFC 3720's tables.
    checksum = 0xE3069283
    masked = ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_checksum(b"123456789") == masked


@pytest.mark.parametrize("level", SCHEMAS)
def test_good_records_are_counted_with_labels_lengths_and_ids(level, tmp_path):
    schema = SCHEMAS[level]
    videos = draw_videos(schema, 75)  # more than are read at once
    file = write_records(tmp_path / "a", [v.serialize() for v in videos])
    found = CHECKERS[level].check(file)
    assert (found.num_records, found.num_good) == (75, 75)
    assert found.num_bytes == os.path.getsize(file)
    assert not found.bad
    assert found.damage is None
    assert not found.lost_bytes
    labels = np.zeros(schema.num_classes, int)
    for video in videos:
        labels[sorted(set(video.labels))] += 1
    np.testing.assert_array_equal(found.label_counts, labels)
    lengths = {}
    if level == "frame":
        lengths = collections.Counter(len(v.features["rgb"]) for v in videos)
        assert max(lengths) > schema.max_frames
    assert found.frame_counts == lengths
    assert ids_of(found) == [video.id for video in videos]
    assert numbers_of(found) == list(range(75))


@pytest.mark.parametrize(("level", "spoil", "reason", "problem"), CASES)
def test_a_bad_record_among_good_ones_is_counted_and_named(
    level, spoil, reason, problem, tmp_path
):
    videos = draw_good(SCHEMAS[level], 6)
    records = [video.serialize() for video in videos]
    records[3] = spoil_record(videos[3], spoil)
    found = CHECKERS[level].check(write_records(tmp_path / "a", records))
    ((named, count),) = found.bad.items()
    assert count == 1
    assert named == (reason or named)
    ((number, words),) = found.examples[named]
    assert number == 3
    assert words.startswith(fill_in(problem, level))
    assert (found.num_records, found.num_good) == (6, 5)
    assert ids_of(found) == [v.id for v in videos[:3] + videos[4:]]


@pytest.mark.parametrize("level", SCHEMAS)
def test_what_tensorflow_reads_and_protocol_buffers_refuse_is_named(
    level, tmp_path
):
    """A field that nobody knows states bytes that are not there."""
    records = [video.serialize() for video in draw_good(SCHEMAS[level], 3)]
    records[1] += encode_field(9, b"four")[:-1]
    file = write_records(tmp_path / "a", records)
    found = CHECKERS[level].check(file)
    assert found.bad == {"unreadable": 1}
    assert found.num_good == 2
    ((number, words),) = found.examples["unreadable"]
    assert number == 1
    assert words.startswith("it is no tf.train.")


def test_every_bad_record_is_counted_and_the_first_five_are_named(tmp_path):
    videos = draw_good(FRAME_SCHEMA, 200)
    records = [video.serialize() for video in videos]
    spoiled = {
        "wrong width": (narrow_frame, range(0, 200, 10)),
        "label outside the classes": (set_label(9), range(5, 200, 20)),
        "unreadable": (lambda message: b"not a proto", [3, 77, 151]),
    }
    for spoil, numbers in spoiled.values():
        for number in numbers:
            records[number] = spoil_record(videos[number], spoil)
    found = CHECKERS["frame"].check(write_records(tmp_path / "a", records))
    assert found.bad == {r: len(n) for r, (_, n) in spoiled.items()}
    for reason, (_, numbers) in spoiled.items():
        named = [number for number, _ in found.examples[reason]]
        assert named == list(numbers)[:5]
    assert found.num_good == 200 - 33


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_is_read_behind_its_damage(how, tmp_path):
    videos = draw_videos(FRAME_SCHEMA, 6)
    framed = [frame_record(video.serialize()) for video in videos]
    path = tmp_path / "a.tfrecord"
    path.write_bytes(damage(framed, how))
    found = CHECKERS["frame"].check(str(path))
    # The length of the damaged record still says where the next one begins.
    passed_over = how in ("payload changed", "checksum of payload changed")
    good = videos[:4] + videos[5:] * passed_over
    assert ids_of(found) == [video.id for video in good]
    assert found.bad == ({"checksum fails": 1} if passed_over else {})
    whole = sum(len(frame) for frame in framed[:4])
    lost = path.stat().st_size - whole - passed_over * len(framed[5])
    assert found.lost_bytes == lost
    assert f"{path}, record 4: {CORRUPT}" in found.damage
    assert "4 records before it are whole" in found.damage
    assert f"{lost} bytes are damaged or lost" in found.damage
    behind = f"{int(passed_over)} records behind the damage are whole"
    assert behind in found.damage
    if passed_over:
        assert [n for n, _ in found.examples["checksum fails"]] == [4]
        assert numbers_of(found) == [0, 1, 2, 3, 5]


def test_a_file_that_cannot_be_read_is_damaged(tmp_path):
    for name in (str(tmp_path), str(tmp_path / "nothing")):
        found = CHECKERS["frame"].check(name)
        assert found.damage.startswith(f"{name} cannot be read: ")
        assert found.num_records == 0


def test_rated_segments_are_counted_and_bad_ones_named(tmp_path):
    videos = draw_rated_videos(30)
    videos[7].ratings[0] = (0, 1, 2.0)
    videos[8].ratings[0] = (35, 1, 1.0)
    videos[9].ratings.clear()
    file = write_records(tmp_path / "a", [v.serialize() for v in videos])
    found = FileChecker(Expected(SEGMENT_SCHEMA)).check(file)
    assert found.bad == {
        "segment score outside 0 to 1": 1,
        "segment outside the video": 1,
        "no rated segments": 1,
    }
    good = videos[:7] + videos[10:]
    segments = [each for video in good for each in video.rated_segments()]
    assert found.num_segments == len(segments)
    np.testing.assert_array_equal(
        found.label_counts, sum(each["labels"].astype(int) for each in segments)
    )
    assert ids_of(found) == [video.id for video in good]
    lengths = collections.Counter(len(video.frames) for video in good)
    assert found.frame_counts == lengths
    unlabelled = FileChecker(Expected(SEGMENT_SCHEMA, need_labels=False))
    assert ids_of(unlabelled.check(file)) == [video.id for video in videos]


def test_labels_and_frames_are_needed_where_they_are_wanted(tmp_path):
    videos = draw_good(FRAME_SCHEMA, 4)
    videos[2].labels = []
    file = write_records(tmp_path / "a", [v.serialize() for v in videos])
    assert CHECKERS["frame"].check(file).bad == {"no labels": 1}
    assert not FileChecker(Expected(FRAME_SCHEMA, False)).check(file).bad
    held = videos[0].message()
    held.context.feature["frame_budget"].bytes_list.value.append(b"first_k=3")
    file = write_records(tmp_path / "b", [held.SerializeToString()])
    found = CHECKERS["frame"].check(file)
    assert found.bad == {"frames of another budget": 1}
    budget = FrameBudget("first_k", num_frames=3)
    found = FileChecker(Expected(FRAME_SCHEMA, True, budget)).check(file)
    assert found.num_good == 1
    assert not found.bad


def gather_ids(files):
    """Adds files of ids, (split, file, ids) each, in another order."""
    gathered = VideoIds()
    for split, file, ids in files[::-1]:
        gathered.add(split, file, enumerate(ids))
    return gathered


def test_ids_that_come_again_are_found():
    random = np.random.default_rng(0)
    files = [
        (split, file, [b"id%d" % n for n in random.integers(0, 30, 12)])
        for split, file in ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1))
    ]
    files.append((1, 1, []))
    with gather_ids(files) as gathered:
        found = gathered.find_duplicates()
    by_split = [collections.Counter() for _ in range(3)]
    for split, _, ids in files:
        by_split[split].update(ids)
    expected = {}
    for split, counts in enumerate(by_split):
        again = [count for count in counts.values() if count > 1]
        expected[split, split] = (len(again), sum(again) - len(again))
    for pair in itertools.combinations(range(3), 2):
        both = by_split[pair[0]].keys() & by_split[pair[1]].keys()
        expected[pair] = (len(both), len(both))
    assert all(expected[pair][0] for pair in expected)
    assert {
        pair: (twice.num_ids, twice.num_records)
        for pair, twice in found.items()
    } == expected
    by_place = {
        (split, file, number): video_id
        for split, file, ids in files
        for number, video_id in enumerate(ids)
    }
    for (first, second), twice in found.items():
        assert len(twice.examples) == min(5, twice.num_ids)
        assert twice.examples == sorted(twice.examples)
        for one, other, video_id in twice.examples:
            assert by_place[first, *one] == by_place[second, *other]
            assert by_place[first, *one] == video_id
            assert (first, *one) != (second, *other)


def test_ids_that_come_once_are_no_duplicates():
    with gather_ids([(0, 0, [b"a", b"b"]), (1, 0, [b"c"])]) as gathered:
        assert gathered.find_duplicates() == {}
    with VideoIds() as gathered:
        assert gathered.find_duplicates() == {}


def test_many_ids_take_little_memory():
    names = ((n, b"%020d" % (n % 250_000)) for n in range(500_000))
    with memory_grows_by_at_most(150e6), VideoIds() as gathered:
        gathered.add(0, 0, names)
        (twice,) = gathered.find_duplicates().values()
    assert twice.num_ids == 250_000


def test_the_first_examples_are_kept_in_any_order():
    examples = []
    for place in np.random.default_rng(0).permutation(100).tolist():
        keep_first(examples, (place, "words"))
    assert [place for place, _ in examples] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [1, 2, 9, 10])
def test_lengths_are_those_of_numpy(count):
    lengths = np.random.default_rng(count).integers(1, 8, count)
    split = SplitFindings(Split([], Expected(FRAME_SCHEMA)))
    assert measure_lengths(split) is None
    split.frame_counts.update(lengths.tolist())
    found = measure_lengths(split)
    assert (found.least, found.most) == (lengths.min(), lengths.max())
    assert found.median == np.median(lengths)
    assert found.mean == pytest.approx(lengths.mean())
    assert found.num_longer == (lengths > 4).sum()


def test_every_job_is_done_in_some_process():
    jobs = [f"job {index}" for index in range(7)]
    done = dict(map_in_processes(Doer, jobs, 2))
    assert done == {n: job.upper() for n, job in enumerate(jobs)}


@pytest.mark.parametrize(
    ("job", "says"),
    [("die", "was ended by signal 9 (SIGKILL)"), ("fail", "with status 3")],
)
def test_a_process_that_ends_is_an_error_that_names_its_job(job, says):
    says = f"^file {job}: the process that read it .*{re.escape(says)}"
    with pytest.raises(ValueError, match=says):
        list(map_in_processes(Doer, ["a", job, "b"], 2, lambda j: f"file {j}"))


def test_a_process_that_ends_before_its_job_is_an_error_of_the_job():
    worker = processes._Worker(Doer)
    worker._process.kill()
    wait_until(lambda: worker._pool._broken)
    future = worker.submit("a")
    with pytest.raises(BrokenProcessPool):
        future.result()
    assert worker.describe_end() == "was ended by signal 9 (SIGKILL)"
    worker.end()


def test_a_process_that_ends_while_it_starts_is_an_error(monkeypatch):
    def fail(*_):
        raise BrokenPipeError

    monkeypatch.setattr(processes.ProcessPoolExecutor, "submit", fail)
    with pytest.raises(ValueError, match="was ended while it started"):
        list(map_in_processes(Doer, ["a"], 1))


def make_findings(tmp_path):
    """Returns the findings on two splits, without a process of their own."""
    videos = draw_good(FRAME_SCHEMA, 40)
    videos[5].id = videos[30].id = "twice"
    records = [video.serialize() for video in videos]
    records[7] = spoil_record(videos[7], narrow_frame)
    train = [
        write_records(tmp_path / "train0", records[:20]),
        write_records(tmp_path / "train1", records[20:]),
    ]
    framed = [frame_record(record) for record in records[30:36]]
    (tmp_path / "eval0").write_bytes(damage(framed, "payload cut"))
    return {
        "train": Split(train, Expected(FRAME_SCHEMA)),
        "eval": Split([str(tmp_path / "eval0")], Expected(FRAME_SCHEMA)),
    }


def test_the_report_holds_what_was_found(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="comes with the extra study")
    splits = make_findings(tmp_path)
    done = []
    found = check_splits(splits, 1, done.append)
    assert done == [1, 2, 3]
    assert found.is_bad
    make_directory(tmp_path / "deep" / "report")
    names = write_report(found, tmp_path / "deep" / "report")
    assert names == [
        "label_frequencies.csv",
        "label_frequencies.png",
        "label_pairs.csv",
        "report.json",
        "report.md",
        "video_lengths.png",
    ]
    folder = tmp_path / "deep" / "report"
    for name in names:
        contents = (folder / name).read_bytes()
        assert contents.startswith(b"\x89PNG") == name.endswith(".png")
    held = json.loads((folder / "report.json").read_text())
    assert not held["all_is_well"]
    train = held["splits"]["train"]
    assert (train["records"], train["good"]) == (40, 39)
    assert train["bad"] == {"wrong width": 1}
    (example,) = train["examples"]["wrong width"]
    assert example["file"] == splits["train"].files[0]
    assert example["record"] == 7
    assert held["splits"]["eval"]["records"] == 4
    within, across = held["duplicates"]
    assert (within["splits"], within["ids"]) == (["train"], 1)
    assert within["examples"] == [
        {
            "id": "twice",
            "places": [
                {"file": splits["train"].files[0], "record": 5},
                {"file": splits["train"].files[1], "record": 10},
            ],
        }
    ]
    assert (across["splits"], across["ids"]) == (["eval", "train"], 4)
    with open(folder / "label_frequencies.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["class", "train", "eval"]
    counts = found.splits["train"].label_counts
    assert [int(row[1]) for row in rows] == counts.tolist()
    assert counts.sum() > 0
    text = (folder / "report.md").read_text()
    for words in (
        f"`{splits['train'].files[0]}, record 7`",
        "frame 2 of feature 'audio' has 1 bytes instead of 2",
        "eval0, record 4: the file is truncated or corrupt there",
        "| train and eval | `twice` |",
        "![Lengths of the videos](video_lengths.png)",
    ):
        assert words in text


def test_without_matplotlib_the_report_says_how_to_get_it(
    tmp_path, monkeypatch
):
    expected = Expected(FRAME_SCHEMA)
    file = write_records(
        tmp_path / "a", [v.serialize() for v in draw_good(FRAME_SCHEMA, 3)]
    )
    split = SplitFindings(Split([file], expected))
    split.add(0, CHECKERS["frame"].check(file))
    found = DataFindings({"train": split}, {})
    assert not found.is_bad
    (tmp_path / "video_lengths.png").write_bytes(b"of an earlier report")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError):
        draw_plots(found.splits)
    names = write_report(found, tmp_path)
    assert "report.md" in names
    assert "video_lengths.png" not in names
    assert not (tmp_path / "video_lengths.png").exists()
    assert "`pip install -e .[study]`" in (tmp_path / "report.md").read_text()


def test_a_directory_that_cannot_be_written_is_refused_first(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--output_dir=.*file/report cannot"):
        make_directory(tmp_path / "file" / "report")


def test_reasons_are_those_of_reading():
    reasons = set(file_check.REASONS)
    assert not reasons & {file_check.UNREADABLE, file_check.DAMAGED}


def test_processes_end_with_a_parent_that_is_killed():
    code = (
        "import os, signal\n"
        "from distill.datasets.check.processes import map_in_processes\n"
        "from tests.datasets.odd_jobs import make_pid_of\n"
        "if __name__ == '__main__':\n"
        "    done = map_in_processes(make_pid_of, ['a', 'b', 'c'], 1)\n"
        "    print(next(done)[1], flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # Both processes hold the pipe: its end comes when both have ended.
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=HANG_SECONDS
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.startswith(b"a ")
