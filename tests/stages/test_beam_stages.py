"""The four verbs by DirectRunner in two processes, also where one dies."""

# Fixtures of another module have the names of arguments.
# ruff: noqa: F811

import os
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import stage_runs
from test_video_stages import NUM_VIDEOS, extraction_flags

from tests.hang_guard import wait_until
from tests.task_runner import files_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("apache_beam", reason="comes with the extra beam")

# The fixtures: videos, the data set of one process, a student of it.
from test_video_stages import checkpoint, data, folder  # noqa: F401

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),
]
TWO_PROCESSES = (
    "--beam_runner=DirectRunner",
    "--beam_options=--direct_num_workers=2 "
    "--direct_running_mode=multi_processing",
)
IN_THE_COMMAND = ("--beam_runner=DirectRunner",)
# Beam's program of a worker, and the shell that starts it.
PROGRAM, SHELL = b"sdk_worker_main", b"sh"


def run_verb(verb, *flags, status=0):
    """Runs a verb in a process of its own, lest gRPC is forked."""
    with stage_runs.start_script(verb, *flags) as process:
        output, errors = process.communicate()
    assert process.returncode == status, output + errors
    return output, errors


def contents(folder):
    """Returns a data set's files, in which its own folder has no name."""
    found = files_of(folder)
    text = found["dataset.cfg"].replace(str(folder).encode(), b"")
    return found | {"dataset.cfg": text}


def test_two_processes_extract_the_same_data(folder, data):
    flags = extraction_flags(folder, "beam")
    run_verb("extract", *flags, *TWO_PROCESSES)
    assert contents(folder / "beam") == contents(data)


def worker_processes(number):
    """Yields the processes below one that run Beam's program."""
    for thread in Path(f"/proc/{number}/task").iterdir():
        for word in (thread / "children").read_text().split():
            words = Path(f"/proc/{word}/cmdline").read_bytes().split(b"\0")
            if not words[0].endswith(SHELL) and PROGRAM in b"".join(words):
                yield int(word)
            yield from worker_processes(word)


@pytest.mark.parametrize("who", ["worker", "command"])
def test_a_killed_worker_or_command_loses_nothing(who, folder, data):
    out = folder / f"killed_{who}"
    flags = extraction_flags(folder, out.name)
    with stage_runs.start_script("extract", *flags, *TWO_PROCESSES) as process:
        wait_until(lambda: list(out.glob("[a-z]*.tfrecord")), process)
        workers = list(worker_processes(process.pid))
        assert len(workers) == 2
        if who == "worker":
            os.kill(workers[0], signal.SIGKILL)
        else:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    lines = errors.strip().splitlines()
    if who == "worker":
        assert process.returncode == 1
        assert lines[-1].startswith("ERROR: The pipeline has failed: Worker ")
        assert "The same command goes on" in lines[-1]
    else:
        assert process.returncode == 130
        assert lines[-1] == "Interrupted."
    wait_until(lambda: not any(Path(f"/proc/{n}").exists() for n in workers))
    kept = {p: p.stat().st_mtime_ns for p in out.glob("[a-z]*.tfrecord")}
    assert not (out / "dataset.cfg").exists()
    run_verb("extract", *flags, *TWO_PROCESSES)
    assert contents(out) == contents(data)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list(out.glob(".*.tmp")) + list(out.glob(".beam*"))


def test_a_bad_video_is_named_in_one_line(folder):
    bad = folder / "bad.csv"
    bad.write_text(f"path,labels\n{folder}/videos/low/0.mp4,a\nno.mp4,b\n")
    flags = extraction_flags(folder, "bad")
    _, errors = run_verb(
        "extract", *flags, f"--videos={bad}", *IN_THE_COMMAND, status=1
    )
    assert errors.strip().splitlines()[-1].startswith("ERROR: There is no ")
    assert f"{folder}/no.mp4" in errors


def test_two_processes_pack_and_a_runner_checks_the_same(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "arrays").mkdir()
    for number in range(30):
        np.savez(
            tmp_path / f"arrays/{number}.npz",
            labels=[("ant", "cat", "dog")[number % 3]],
            rgb=random.uniform(-2, 2, (1 + number % 7, 6)),
        )
    flags = [f"--input={tmp_path}/arrays", "--validate_fraction=0.3"]
    for name, runner in (("one", ()), ("two", TWO_PROCESSES)):
        run_verb("pack", *flags, f"--output_dir={tmp_path / name}", *runner)
        run_verb(
            "check_data",
            f"--flagfile={tmp_path}/one/dataset.cfg",
            f"--output_dir={tmp_path}/report_{name}",
            *runner[:1],
        )
    packed = contents(tmp_path / "two")
    del packed["pack.json"]
    assert packed == contents(tmp_path / "one")
    report = files_of(tmp_path / "report_one")
    assert report == files_of(tmp_path / "report_two")
    assert "report.json" in report


@pytest.mark.parametrize(
    ("source", "runner"),
    [("records", TWO_PROCESSES), ("videos", IN_THE_COMMAND)],
    ids=["records", "videos"],
)
def test_a_runner_predicts_the_same(source, runner, folder, data, checkpoint):
    flags = [f"--checkpoint={checkpoint}", "--gpu=-1"]
    if source == "videos":
        flags.append(f"--videos={folder / 'videos'}")
        flags.append(f"--extractor_file={data / 'extractor.json'}")
    else:
        flags.append(f"--flagfile={data / 'dataset.cfg'}")
        flags.append(f"--input_data_pattern={data}/*.tfrecord")
        flags.append("--batch_size=3")
    files = [folder / f"{source}_{name}.csv" for name in ("one", "two")]
    run_verb("infer", *flags, f"--output_file={files[0]}")
    output, _ = run_verb(
        "infer",
        *flags,
        f"--output_file={files[1]}",
        "--beam_tasks=3",
        *runner,
    )
    assert f"wrote the predictions of {2 * NUM_VIDEOS} videos" in output
    assert files[0].read_bytes() == files[1].read_bytes()
