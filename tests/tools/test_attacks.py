"""Attacks: they find what is broken, and the toolkit withstands them."""

import errno
import io
import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.hang_guard import HANG_SECONDS
from tools.attacks import damage, legal_files
from tools.attacks.endings import find_bad_ending, find_leftovers
from tools.attacks.files import OBJECT, RECORDS, Files, Reader
from tools.attacks.preload import Spoiled, build_library
from tools.attacks.workers import Team
from tools.drills.comparison import find_broken
from tools.drills.stages import Command, Stage

ROOT = Path(__file__).parents[2]
OLD, NEW = "old" * 5_000, "new" * 5_000
START = """
import pickle, sys
from pathlib import Path
from distill.system.atomic_files import replace_atomically
path, text = Path(sys.argv[1]), sys.argv[2] * 5_000
pickle.load(sys.stdin.buffer).arm()
"""
WRITE_IN_PLACE = "path.write_text(text)"
REPLACE = """
with replace_atomically(path) as temporary:
    temporary.write_text(text)
"""


@pytest.fixture(scope="module")
def library():
    try:
        return build_library()
    except ValueError as error:
        pytest.skip(str(error))


def write(code, spoiled, path):
    """Runs a writer whose calls are counted or spoiled."""
    return subprocess.run(
        [sys.executable, "-c", START + code, path, "new"],
        input=pickle.dumps(spoiled),
        env=os.environ | {"LD_PRELOAD": str(spoiled.library)},
        cwd=ROOT,
        capture_output=True,
    )


@pytest.fixture
def spoil(library, tmp_path):
    """Returns a function that lets a writer of `a.txt` meet a spoiled call."""
    (tmp_path / "files").mkdir()
    path = tmp_path / "files/a.txt"

    def run(code, *spoiled):
        for leftover in path.parent.glob(".a.txt*"):
            leftover.unlink()
        path.write_text(OLD)
        (tmp_path / "log").unlink(missing_ok=True)
        call = Spoiled(path.parent, tmp_path / "log", *spoiled)
        done = write(code, call, path)
        return done, call.calls()

    run.path = path
    return run


def test_a_writer_that_is_killed_in_place_is_found_broken(spoil, tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole/a.txt").write_text(NEW)
    done, calls = spoil(WRITE_IN_PLACE, "write", 1, "kill before")
    assert done.returncode == -signal.SIGKILL
    assert calls == [("write", "a.txt")]
    assert spoil.path.read_text() == NEW[: len(NEW) // 2]
    assert find_broken(spoil.path.parent, tmp_path / "whole") == [
        "a.txt is not that of the undisturbed run"
    ]


def test_a_kill_at_any_call_leaves_a_replaced_file_whole(spoil):
    done, calls = spoil(REPLACE)
    assert done.returncode == 0, done.stderr
    kinds = [kind for kind, _ in calls]
    assert {"create", "flock", "write", "fsync", "rename"} <= {*kinds}
    renamed = calls.index(("rename", "a.txt"))
    for place, kind in enumerate(kinds):
        number = kinds[: place + 1].count(kind)
        deed = ("kill before", "kill after")[place % 2]
        done, _ = spoil(REPLACE, kind, number, deed)
        assert done.returncode == -signal.SIGKILL
        is_new = place + place % 2 > renamed
        assert spoil.path.read_text() == (NEW if is_new else OLD)
        assert len(find_leftovers(spoil.path.parent)) <= (not is_new)


@pytest.mark.parametrize("kind", ["create", "write", "fsync", "rename"])
def test_a_failing_call_keeps_the_old_file_and_is_named(kind, spoil):
    done, calls = spoil(REPLACE, kind, 1, "fail", errno.EDQUOT)
    assert calls[0][0] == kind
    reason = os.strerror(errno.EDQUOT)
    words = f"WriteError: {spoil.path} cannot be written: {reason}"
    assert words in done.stderr.decode()
    assert spoil.path.read_text() == OLD
    assert os.listdir(spoil.path.parent) == ["a.txt"]


def test_half_of_a_write_is_written_on(spoil):
    done, calls = spoil(REPLACE, "write", 1, "cut")
    assert done.returncode == 0, done.stderr
    assert calls == [("write", "a.txt")]
    assert spoil.path.read_text() == NEW


@pytest.mark.parametrize(
    ("status", "output", "problem"),
    [
        (0, "wrote a.csv\n", ""),
        (1, "reading\nERROR: a.csv, line 2: no score.\n", ""),
        (None, "reading\n", "it did not end"),
        (-11, "reading\n", "signal 11 ended it: reading"),
        (
            1,
            'Traceback (most recent call last):\n  File "x"\nKeyError',
            "trace",
        ),
        (1, "reading\n", "it printed 0 errors"),
        (1, "ERROR: a.csv 1\nERROR: a.csv 2\n", "it printed 2 errors"),
        (1, "ERROR: a.csv 1\nand more\n", "it printed 1 errors, at last: and"),
        (1, "ERROR: line 2: no score.\n", "no 'a.csv' in ERROR: line 2"),
        (0, "ERROR: a.csv\n", "status 0 after ERROR: a.csv"),
        (2, "", "it ended with status 2: nothing"),
    ],
)
def test_bad_endings_are_found(status, output, problem):
    found = find_bad_ending(status, output, ["a.csv"])
    assert problem in found
    assert bool(problem) == bool(found)


SAMPLES = {
    "BYTES": os.urandom(3_000),
    "TEXT": b"id,pairs\na,1 0.5 2 0.25\nb,3 0.125\n",
    "JSON": json.dumps({"a": [1, {"b": "c"}], "d": 2.5}, indent=1).encode(),
    "FLAGS": b"--batch_size=16\n# A comment.\n--num_classes=8\n",
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_damage_follows_from_the_seed_and_damages(kind):
    contents = SAMPLES[kind]
    for make in getattr(damage, kind):
        made = [
            [make(contents, rng) for _ in range(30)]
            for rng in (random.Random(1), random.Random(1))
        ]
        assert made[0] == made[1]
        assert any(each != contents for each in made[0]), make.__name__


def zipped(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        # Without the time: every worker of the tests must see one test id.
        archive.writestr(zipfile.ZipInfo("a.npy"), text)
    return file.getvalue()


RECORD = b"\3" + bytes(7) + b"sum." + b"abc" + b"sum."


@pytest.mark.parametrize(
    ("is_legal", "legal", "illegal"),
    [
        (legal_files.is_json_object, b'{"a": 1}', b'{"a": 1'),
        (legal_files.is_json_object, b"{}", b"[1]"),
        (legal_files.is_json_lines, b"{}\n\n{}\n", b"{}\n{\n"),
        (legal_files.is_pairs, b"a,b\nx,1 0.5\n", b"a,b\nx,1 0.5 2\n"),
        (legal_files.is_pairs, b"a,b\nx,1 0\n", b"a,b\nx,1 nan\n"),
        (legal_files.is_pairs, b"a,b\nx,1 0\n", b"a,b\nx,1 y\n"),
        (legal_files.is_whole_archive, zipped("a"), zipped("a")[:-30]),
        (legal_files.is_whole_archive, zipped("abcd"), b"abcd"),
        (legal_files.is_original_records, RECORD * 3, RECORD * 2 + RECORD[:9]),
        (
            legal_files.is_original_records,
            b"",
            RECORD.replace(b"abc", b"abd"),
        ),
    ],
)
def test_what_must_be_refused_is_known(is_legal, legal, illegal):
    assert is_legal(legal, RECORD * 2)
    assert not is_legal(illegal, RECORD * 2)


class Process:
    """A process that has ended, or never does."""

    def __init__(self, exitcode):
        self.exitcode = exitcode
        self.pid = None

    def join(self, seconds=0):
        """Returns at once."""

    def kill(self):
        self.exitcode = self.exitcode or -9


class Runner:
    """Stands for stages whose commands end in one way."""

    def __init__(self, folder, status, output):
        self.undisturbed = folder
        self._end = status, output

    def disturbed(self, stage):
        return self.undisturbed / f"{stage.name}_disturbed"

    def start(self, stage, directory, *prepared):
        directory.mkdir()
        return [Process(self._end[0])]

    def output(self, stage, index):
        return self._end[1]


@pytest.mark.parametrize(
    ("kind", "damaged", "status", "output", "problem"),
    [
        (RECORDS, RECORD[:-1], 0, "read 1 video", "although its damage shows"),
        (RECORDS, RECORD * 3, 0, "read 3 videos", ""),
        (RECORDS, RECORD[:-1], 1, "ERROR: a.bin is cut.", ""),
        (RECORDS, RECORD[:-1], 1, "ERROR: it is cut.", "no 'a.bin' in ERROR"),
        (OBJECT, b"{", -9, "", "signal 9 ended it"),
        (OBJECT, b"[]", None, "", "it did not end"),
    ],
)
def test_a_reader_that_takes_or_hides_damage_is_found(
    kind, damaged, status, output, problem, tmp_path, monkeypatch
):
    (tmp_path / "stages").mkdir()
    (tmp_path / "faults").mkdir()
    path = tmp_path / "stages/a.bin"
    path.write_bytes(RECORD)
    files = Files.__new__(Files)
    files._rng, files._kept = random.Random(0), tmp_path / "faults"
    files._runner = Runner(tmp_path / "stages", status, output)
    monkeypatch.setattr(random.Random, "choice", lambda self, kinds: kinds[0])
    kind = type(kind)(kind.name, [lambda *_: damaged], kind.is_legal)
    found = files.try_one(Reader(kind, "a.bin", "labels")).problem
    assert problem in found
    assert bool(problem) == bool(found)
    assert path.read_bytes() == RECORD
    kept = [each.read_bytes() for each in files._kept.iterdir()]
    assert kept == [damaged] * bool(problem)


@pytest.mark.parametrize(
    ("status", "output", "problem"),
    [
        (1, "ERROR: worker 1 of 2: another worker is gone; start all.", ""),
        (0, "result: a.h5", ""),
        (1, "ERROR: something else.", "1 does not say why it ended"),
        (1, "InternalError", "it printed 0 errors"),
        (-6, "", "signal 6 ended it"),
    ],
)
def test_a_worker_that_does_not_say_why_it_ends_is_found(
    status, output, problem, tmp_path
):
    team = Team.__new__(Team)
    team._runner = Runner(tmp_path, None, output)
    stage = Stage("workers", (Command("train"),) * 2, are_workers=True)
    running = [Process(-9), Process(status)]
    (found,) = team._judge_lost(stage, running, 0)
    assert problem in found
    assert bool(problem) == bool(found)


def run_attacks(num_tries, seed):
    """Makes the attacks; checks that each held, and returns the output."""
    build_library()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tools.attacks"),
            "--attacks=calls,files,workers",
            f"--num_tries={num_tries}",
            f"--seed={seed}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    lines = re.findall(r"^ *\d+ .* \| .*", done.stdout, re.MULTILINE)
    assert len(lines) == 3 * num_tries, done.stdout + done.stderr
    assert [each for each in lines if not each.endswith("| held")] == []
    assert done.returncode == 0
    return lines


@pytest.mark.slow
def test_nothing_is_lost_in_a_few_attacks(library):
    # Two minutes on two idle cores.
    assert len(run_attacks(4, 1)) == 12


@pytest.mark.nightly
def test_nothing_is_lost_in_many_attacks(library):
    # Ten minutes on two idle cores.
    lines = run_attacks(30, 2)
    assert len({line.split(" | ")[0].split(" ", 1)[1] for line in lines}) > 20
