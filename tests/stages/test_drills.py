"""Drills: they find broken files, and the stages leave none."""

import json
import random
import re
import shutil

import h5py
import numpy as np
import pytest
from stage_runs import run_script, train_in_process, video_level_settings
from stored_files import checkpoint_steps, read_log

from tools.drills.comparison import find_broken, find_differences
from tools.drills.drill import Drill, Kill
from tools.drills.moments import MOMENTS, Moment, Timing, draw_moment
from tools.drills.report import conclude, render_markdown
from tools.drills.stages import PIPELINE, choose_stages, with_needs

NAME = "checkpoint-00000005.h5"


@pytest.fixture(scope="module")
def finished(video_level_videos, tmp_path_factory):
    """Returns the directory of a run that kept every step's checkpoint."""
    directory = tmp_path_factory.mktemp("finished")
    train_in_process(
        video_level_settings(video_level_videos, num_epochs=1),
        directory,
        checkpoint_every_steps=1,
        keep_checkpoints=0,
        log_every_steps=1,
        eval_data_pattern=f"{video_level_videos}/validate-*.tfrecord",
    )
    (directory / "predictions.csv").write_text("a,1 0.5\nb,2 0.5\n")
    return directory


@pytest.fixture
def killed(finished, tmp_path):
    """Returns a copy of the finished directory."""
    shutil.copytree(finished, tmp_path / "killed")
    return tmp_path / "killed"


def change_weight(path):
    with h5py.File(path, "r+") as file:
        kernel = file["student/classifier/kernel"]
        kernel[0, 0] = np.nextafter(kernel[0, 0], np.float32(9))


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def test_runs_that_differ_in_speed_alone_are_equal(finished, killed):
    lines = [line | {"examples_per_second": 7.5} for line in read_log(killed)]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (killed / "log.jsonl").write_text(text)
    assert find_differences(killed, finished) == []
    assert find_broken(killed, finished) == []


@pytest.mark.parametrize("name", [NAME, "best.h5"])
@pytest.mark.parametrize("damage", [change_weight, cut])
def test_broken_checkpoint_is_found(finished, killed, name, damage):
    damage(killed / name)
    (line,) = find_broken(killed, finished)
    assert line.startswith(f"{name} ")
    if damage is change_weight:
        assert find_differences(killed, finished) == [f"{name} differs"]


def test_half_written_file_under_a_final_name_is_found(finished, killed):
    (killed / "predictions.csv").write_text("a,1 0.5\n")
    assert find_broken(killed, finished) == [
        "predictions.csv is not that of the undisturbed run"
    ]


def test_files_that_are_missing_or_new_differ_at_the_end(finished, killed):
    (killed / "log.jsonl").unlink()
    (killed / "more.csv").write_text("")
    assert find_differences(killed, finished) == [
        "log.jsonl is missing",
        "more.csv is new",
    ]


def test_best_weights_of_an_earlier_step_are_not_broken(finished, killed):
    """A run may be killed before it finds better ones."""
    shutil.copy(killed / "checkpoint-00000002.h5", killed / "best.h5")
    with h5py.File(killed / "best.h5", "r+") as file:
        for group in set(file) - {"student"}:
            del file[group]
    for step in checkpoint_steps(killed)[2:]:
        (killed / f"checkpoint-{step:08d}.h5").unlink()
    assert find_broken(killed, finished) == []


def test_moments_follow_from_the_seed_and_lie_within_the_stage():
    timing = Timing(10.0, 4.0, [0.1, 0.2], num_files=2)
    drawn = [
        [draw_moment(draws, timing, kind, None) for kind in MOMENTS * 20]
        for draws in (random.Random(1), random.Random(1))
    ]
    assert drawn[0] == drawn[1]
    upper = {"in a write": 0.1, "at the start": 4.0, "at random": 10.0}
    for moment in drawn[0]:
        assert 0 <= moment.seconds < upper.get(moment.kind, 3.0)
        assert ("write" in moment.kind) == (moment.number in (1, 2))


def test_a_stage_brings_the_stages_that_it_needs():
    (convert,) = choose_stages(["convert"])
    names = [stage.name for stage in with_needs([convert])]
    assert names == ["data", "train", "convert"]
    assert choose_stages(None) == list(PIPELINE)
    with pytest.raises(ValueError, match="Did you mean 'train'"):
        choose_stages(["trian"])


def test_report_names_the_problems():
    kill = Kill(Moment("in a write", 2, 0.1), "half of student.h5", 1)
    drills = [
        Drill("convert", (kill,), ()),
        Drill("train", (kill, kill), ("best.h5 differs",)),
    ]
    assert conclude(drills) == "3 kills: 1 of 2 drills went wrong"
    text = render_markdown("python -m tools.drills", drills)
    assert "| convert | 1 | 1 | 1 | 0 | 0 | 0 | 1 | 1 of 1 |" in text
    assert "| all | 2 | 3 | 3 | 0 | 0 | 0 | 3 | 1 of 2 |" in text
    assert (
        "  2 train | in a write (no. 2): half of student.h5, 1 left over, then "
        "in a write (no. 2): half of student.h5, 1 left over | best.h5 differs"
    ) in text


def check_drills(tmp_path, num_kills, *flags):
    """Runs drills; checks that all went well, and their report."""
    report = tmp_path / "report.md"
    done = run_script(
        "tools.drills",
        f"--num_kills={num_kills}",
        f"--work_dir={tmp_path}/work",
        f"--report={report}",
        *flags,
    )
    drills = re.findall(r"^ *\d+ \w+ \| .*", done.stdout, re.MULTILINE)
    assert drills
    assert all(line.endswith("| equal") for line in drills)
    assert done.stdout.splitlines()[-1].startswith(f"{num_kills} kills in ")
    text = report.read_text()
    assert all(line.strip() in text for line in drills)
    return done.stdout


@pytest.mark.nightly
def test_every_stage_killed_at_random_ends_as_the_undisturbed_one(tmp_path):
    # Four minutes on an idle machine.
    number = 3 * len(PIPELINE) // 2
    output = check_drills(tmp_path, number, "--seed=1")
    for stage in PIPELINE:
        assert f" {stage.name} | " in output
