"""Flagfiles and configs: found by name, their errors with file and line."""

import pytest
from stage_runs import NO_TENSORFLOW, ROOT, error_line, run_script, start_script

from tests.hang_guard import HANG_SECONDS

# Runs this checkout from another directory.
HERE = f"{NO_TENSORFLOW}; sys.path.insert(0, {str(ROOT)!r})"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--dropuot=1", "1: --dropuot: no such flag; did you mean --dropout?"),
        ("# A\n\n--batch_size=x", "3: --batch_size=x: batch_size must be a w"),
        ("--deterministic=3", "1: --deterministic=3: Non-boolean argument"),
        ("--nodropout", "1: --nodropout: no such flag; did you mean --dropout"),
        ("train_dir=x", "1: not a flag: 'train_dir=x' (flags begin with --)."),
        ("--train_dir", "1: --train_dir needs a value: --train_dir=VALUE."),
        ("--flagfile=x.cfg", "1: There is no file 'x.cfg'. There is no config"),
        ("--flagfile=quickstrat.cfg", "Did you mean quickstart.cfg?"),
        ("--flagfile=FILE", "1: --flagfile=FILE leads back to itself."),
    ],
)
def test_wrong_line_of_a_flagfile_is_named(tmp_path, text, message):
    file = tmp_path / "own.cfg"
    file.write_text(text.replace("FILE", str(file)))
    outer = tmp_path / "outer.cfg"
    outer.write_text(f"--num_epochs=1\n--flagfile={file}\n")
    done = run_script(
        "train", f"--flagfile={outer}", driver=NO_TENSORFLOW, status=1
    )
    line = error_line(done)
    assert f"ERROR: {outer}, line 2: {file}, line " in line
    assert message.replace("FILE", str(file)) in line


def run_from(directory, *words):
    """Runs the command from another directory; returns all it prints."""
    with start_script(*words, driver=HERE, cwd=directory) as process:
        return "".join(process.communicate(timeout=HANG_SECONDS))


@pytest.mark.parametrize("folder", ["", "configs/"])
def test_config_is_found_by_its_name_from_any_directory(tmp_path, folder):
    """Its model is in the config that it names in turn."""
    name = f"{folder}quickstart_netvlad_every30.cfg"
    shown = run_from(tmp_path, "train", f"--flagfile={name}", "--help")
    assert "--netvlad_cluster_size=" in shown


def test_file_of_the_user_wins_over_the_config_of_its_name(tmp_path):
    (tmp_path / "quickstart.cfg").write_text("--model=GruModel\n")
    shown = run_from(tmp_path, "train", "--flagfile=quickstart.cfg", "--help")
    assert "--gru_cells=" in shown
    assert "lstm" not in shown


def test_rows_of_a_study_are_found_from_any_directory(tmp_path):
    """The error about a row shows that the file was read."""
    # 3 is there for the row that has this budget alone.
    flags = ["--train_data_pattern=x", "--eval_data_pattern=x"]
    flags.append("--budgets=3,99")
    found = run_from(
        tmp_path, "study", "--flagfile=study_joined_hlstm.cfg", *flags
    )
    rows = "configs/study_joined.py, row 'Uniform-k, no teacher' at 99 frames"
    assert f"ERROR: {rows}: " in found


def test_configs_are_listed_and_printed():
    folder = ROOT / "configs"
    listed = run_script("configs", driver=NO_TENSORFLOW).stdout
    unfolded = " ".join(listed.split())
    for path in folder.rglob("*.cfg"):
        first = path.read_text().splitlines()[0].removeprefix("# ")
        assert f"{path.relative_to(folder)} {first}" in unfolded
    printed = run_script("configs", "quickstart.cfg", driver=NO_TENSORFLOW)
    assert printed.stdout == (folder / "quickstart.cfg").read_text()
