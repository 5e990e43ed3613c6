"""The command that a verb proposes to run next."""

import shlex
import sys

import pytest
import stage_runs
from absl import flags
from stage_runs import network_flags, run_script, training_flags

from distill.cli import flag_parsing
from distill.cli import next_command as module
from distill.cli.next_command import command, next_command


@pytest.fixture
def given(monkeypatch):
    """Returns a function that sets the command line of `distill train`."""
    values = flags.FlagValues()
    for name in ("start_new_model", "deterministic"):
        flags.DEFINE_boolean(name, False, "", flag_values=values)
    for name in ("train_dir", "num_epochs", "student_checkpoint"):
        flags.DEFINE_string(name, None, "", flag_values=values)
    for user in (module, flag_parsing):
        monkeypatch.setattr(user, "FLAGS", values)
    monkeypatch.setattr(module, "_program", lambda: ["distill"])

    def give(*words):
        monkeypatch.setattr(sys, "argv", ["distill train", *words])

    return give


def test_flags_are_passed_on_as_given_if_the_next_verb_has_them(given):
    given(
        *("--train_dir", "my runs/a", "--batch_size=8", "--every_n=4"),
        *("--start_new_model", "--nodeterministic", "--eval_data_pattern=v*"),
    )
    changes = {"checkpoint": "my runs/a/best.h5"}
    assert next_command("evaluate", changes) == (
        "distill evaluate '--train_dir=my runs/a' "
        "--batch_size=8 --every_n=4 --nodeterministic '--eval_data_pattern=v*' "
        "'--checkpoint=my runs/a/best.h5'"
    )


def test_flagfiles_are_passed_on_and_their_values_are_known(given, tmp_path):
    config = tmp_path / "a.cfg"
    config.write_text("--train_dir=a\n--student_checkpoint=s.h5\n")
    given(f"--flagfile={config}", "--train_dir=b", "--num_epochs=9")
    defaults = {"student_checkpoint": "b/student.h5"}
    assert next_command("convert", {}, defaults).endswith(
        f" convert --flagfile={config} --train_dir=b"
    )
    own = tmp_path / "a_finetune.cfg"
    own.write_text("--num_epochs=3\n")
    assert next_command("finetune", {"train_dir": "c"}, defaults).endswith(
        f" finetune --flagfile={own} --num_epochs=9 --train_dir=c "
        "--student_checkpoint=b/student.h5"
    )


def test_an_empty_value_is_not_passed_on(given, tmp_path):
    config = tmp_path / "a.cfg"
    config.write_text("--eval_data_pattern=v*\n")
    unknown = {"eval_data_pattern": "FILES"}
    given(f"--flagfile={config}", "--eval_data_pattern=")
    assert next_command("evaluate", {}, unknown).endswith(
        f"evaluate --flagfile={config}"
    )
    given("--eval_data_pattern=")
    assert next_command("evaluate", {}, unknown).endswith(
        "evaluate --eval_data_pattern=FILES"
    )


def test_a_config_is_found_by_its_name_from_any_directory(
    given, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given("--flagfile=quickstart.cfg", "--num_epochs=1")
    known = {"train_data_pattern": "x", "student_checkpoint": "x"}
    assert next_command("finetune", {}, known) == (
        "distill finetune --flagfile=quickstart_finetune.cfg --num_epochs=1"
    )
    assert next_command("evaluate") == (
        "distill evaluate --flagfile=quickstart.cfg"
    )


def test_the_command_is_named_as_the_shell_finds_it(tmp_path, monkeypatch):
    script = tmp_path / "venv/bin/distill"
    script.parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", f"{script.parent}/python")
    monkeypatch.setenv("PATH", "/usr/bin")
    assert command("convert", {}) == f"{sys.executable} -m distill convert"
    script.write_text("")
    script.chmod(0o755)
    assert command("convert", {}) == f"{script} convert"
    monkeypatch.chdir(tmp_path)
    assert command("convert", {}) == "venv/bin/distill convert"
    monkeypatch.setenv("PATH", str(script.parent))
    assert command("convert", {}) == "distill convert"


@pytest.mark.nightly
def test_each_verb_names_a_command_that_runs(videos, tmp_path):
    """From training to predictions, each as the one before printed it."""
    pattern = f"--eval_data_pattern={videos}/validate-*.tfrecord"
    done = run_script(
        "train",
        *training_flags(videos),
        *network_flags(),
        "--num_epochs=1",
        f"--train_dir={tmp_path}/joint",
    )
    verbs = []
    while following := done.stdout.splitlines()[-1].partition("next: ")[2]:
        program, verb, *words = shlex.split(following)
        assert program.endswith("distill")
        verbs.append(verb)
        # Only this stage is told of files with labels.
        words += [pattern] if verb == "finetune" else []
        words += ["--formats=saved_model"] if verb == "export" else []
        done = run_script(verb, *words)
        assert done.stderr == ""
    assert verbs == ["convert", "finetune", "export", "infer"]
    (predictions,) = tmp_path.rglob("export.csv")
    rows = predictions.read_text().splitlines()
    assert len(rows) == 1 + stage_runs.NUM_VALIDATE_VIDEOS
