"""Tasks as a pipeline of Apache Beam's DirectRunner, in this process."""

import functools
import os
import sys
import threading
import warnings

import pytest

from distill.distributed.beam_tasks import BeamRunner
from distill.settings.beam import BeamSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("apache_beam", reason="comes with the extra beam")

pytestmark = pytest.mark.filterwarnings("default")
DIRECT = BeamSettings("DirectRunner")
BAD = 5


class Squares:
    """Writes the square of each task."""

    def __init__(self, folder, error=None):
        self._folder, self._error = folder, error
        with (folder / "made").open("a") as file:
            file.write(f"{os.getpid()} {threading.get_ident()}\n")

    def __call__(self, task):
        if self._error is not None and task == BAD:
            raise self._error
        (self._folder / str(task)).write_text(str(task**2))

    def close(self):
        (self._folder / "closed").touch()


def test_every_task_is_done_by_one_work_of_the_process(tmp_path):
    out, place = tmp_path / "out", tmp_path / "place"
    out.mkdir()
    run = BeamRunner(DIRECT, place)
    run(functools.partial(Squares, out), range(20))
    found = {int(p.name): p.read_text() for p in out.glob("[0-9]*")}
    assert found == {number: str(number**2) for number in range(20)}
    assert len((out / "made").read_text().splitlines()) == 1
    assert (out / "closed").exists()
    assert not list(place.iterdir())
    run(None, [])


def test_the_message_of_a_failed_task_is_raised(tmp_path):
    make = functools.partial(Squares, tmp_path, ValueError("five is bad"))
    with pytest.raises(ValueError, match=r"^five is bad$"):
        BeamRunner(DIRECT, tmp_path)(make, range(9))
    assert not (tmp_path / str(BAD)).exists()
    assert not list(tmp_path.glob(".beam*"))


def test_an_error_of_the_program_fails_the_pipeline(tmp_path):
    make = functools.partial(Squares, tmp_path, KeyError("a bug"))
    with pytest.raises(ValueError, match=r"pipeline has failed: .*a bug"):
        BeamRunner(DIRECT, tmp_path)(make, range(9))
    assert not list(tmp_path.glob(".beam*"))


@pytest.mark.parametrize(
    ("runner", "options", "words"),
    [
        ("NoRunner", "", "beam_runner must be one of .*'NoRunner'"),
        ("DirectRunner", "--workers=2", "DirectRunner has no flag '--workers"),
        ("DirectRunner", "two", "DirectRunner has no flag 'two'"),
        ("DirectRunner", "--direct_num_workers=x", "invalid int value: 'x'"),
        ("DirectRunner", "--direct_running_mode=x", "invalid choice: 'x'"),
    ],
)
def test_a_wrong_runner_or_flag_is_named(runner, options, words, tmp_path):
    with pytest.raises(ValueError, match=words) as caught:
        BeamRunner(BeamSettings(runner, options), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_job_server_has_flags_of_its_own(tmp_path):
    options = "--flink_master=localhost:8081 --object_reuse=true"
    runner = BeamRunner(BeamSettings("FlinkRunner", options), tmp_path)
    given = runner._options.get_all_options(retain_unknown_options=True)
    assert given["flink_master"] == "localhost:8081"
    assert given["object_reuse"] in (True, "true")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ((None, "--direct_num_workers=2"), "beam_options needs beam_runner"),
        (("DirectRunner", "--runner=x"), "give the runner by beam_runner"),
        (("DirectRunner", "'a"), "No closing quotation"),
    ],
)
def test_settings_are_checked(fields, words):
    with pytest.raises(ValueError, match=words):
        BeamSettings(*fields)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ValueError, match=r"apache_beam is not .*\[beam\]"):
        BeamRunner(DIRECT, tmp_path)
