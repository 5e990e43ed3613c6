"""No verb takes a path of storage that it cannot write to or read from."""

import os

import pytest
from absl import flags
from stage_runs import NO_TENSORFLOW, error_line, run_script

from distill.cli.settings_flags import define
from distill.cli.verbs import VERBS, load_verb

REFUSED = "nosuch:// is not supported"


def text_flags(verb):
    """Returns the flags of a verb that hold texts, paths among them."""
    groups = getattr(load_verb(verb), "FLAG_GROUPS", ())
    flags_of_verb = {spec.name: spec for group in groups for spec in group}
    return [
        spec
        for spec in flags_of_verb.values()
        if "str" in str(spec.kind) and not spec.is_address
    ]


def test_every_text_flag_of_every_verb_refuses_an_unknown_scheme():
    checked = set()
    for verb in VERBS:
        for spec in text_flags(verb):
            defined = flags.FlagValues()
            define([[spec]], defined)
            for value in ("nosuch://x/y", "NAME=nosuch://x", "a,nosuch://x"):
                with pytest.raises(flags.IllegalFlagValueError, match=REFUSED):
                    defined(["", f"--{spec.name}={value}"])
            checked.add(spec.name)
    # Those that an overlooked kind of flag would leave out.
    assert checked >= {
        *("train_dir", "train_data_pattern", "checkpoint", "checkpoints"),
        *("output_file", "output_dir", "metrics_file", "metrics_files"),
        *("export_dir", "ensemble_file", "study_dir", "class_weights_file"),
        *("teacher_checkpoints", "predictions", "input", "archive"),
    }


PATHS = {
    "train": "train_dir",
    "finetune": "student_checkpoint",
    "evaluate": "metrics_file",
    "infer": "output_file",
    "export": "export_dir",
    "pack": "output_dir",
    "check_data": "output_dir",
    "average_predictions": "output_file",
}


@pytest.mark.parametrize("verb", PATHS)
def test_a_verb_refuses_an_unknown_scheme_before_tensorflow_starts(verb):
    before = sorted(os.listdir())
    done = run_script(
        verb,
        f"--{PATHS[verb]}=nosuch://x/run",
        driver=NO_TENSORFLOW,
        status=1,
    )
    assert REFUSED in error_line(done)
    assert "gs:// or s3://" in error_line(done)
    assert sorted(os.listdir()) == before


def test_records_of_a_scheme_that_tensorflow_lacks_are_refused_at_once():
    done = run_script(
        "train",
        "--train_data_pattern=/data/a*,s3://bucket/train*",
        driver=NO_TENSORFLOW,
        status=1,
    )
    assert "TensorFlow reads records, and it does not read s3://" in (
        error_line(done)
    )


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    done = run_script(
        "train",
        "--train_dir=s3://bucket/run",
        driver=f"{NO_TENSORFLOW}; sys.modules.update(s3fs=None)",
        status=1,
    )
    assert error_line(done) == (
        "ERROR: flag --train_dir=s3://bucket/run: 's3://bucket/run': s3:// "
        "needs the package s3fs: `pip install -e .[cloud]` installs it."
    )


def test_a_lost_slash_is_not_taken_for_a_local_folder():
    done = run_script(
        "evaluate", "--metrics_file=gs:/b/m", driver=NO_TENSORFLOW, status=1
    )
    assert "'gs:/b/m' is a broken URL" in error_line(done)


def test_a_download_is_refused_for_a_bucket():
    done = run_script(
        "download_yt8m",
        "--output_dir=s3://bucket/data",
        "--partition=2/frame/train",
        "--mirror=us",
        driver=NO_TENSORFLOW,
        status=1,
    )
    assert "output_dir must be a local path" in error_line(done)


def test_a_command_warns_that_memory_is_not_kept():
    done = run_script(
        "average_predictions",
        "--output_file=ram://out.csv",
        status=1,
    )
    assert done.stderr.startswith("WARNING: --output_file=ram://out.csv: ram")
