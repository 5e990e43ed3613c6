"""Help texts: a page in groups, with the sizes of the chosen models alone."""

import re
import tomllib

import pytest
from stage_runs import NO_TENSORFLOW, ROOT, run_script

import distill
from distill.cli.flag_groups import HEADINGS
from distill.cli.help_text import help_text
from distill.cli.verbs import VERB_GROUPS, VERBS, load_verb
from distill.models.presets import SMALL_SIZES
from distill.settings.training import SMALL_TRAINING

MOST_LINES, MOST_COLUMNS = 100, 100
WITH_FLAGS = [verb for verb in VERBS if hasattr(load_verb(verb), "FLAG_GROUPS")]


def flags_of(verb):
    return [spec for group in load_verb(verb).FLAG_GROUPS for spec in group]


def shown_flags(text):
    """Returns the flags of a help text with their defaults."""
    return set(re.findall(r"^  --(\w+(?:=\S+)?)", text, re.MULTILINE))


@pytest.mark.parametrize("verb", WITH_FLAGS)
def test_help_is_a_page_whose_lines_fit_the_terminal(verb, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = help_text(f"distill {verb}", "Summary.", flags_of(verb), {})
    lines = text.splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= MOST_COLUMNS


@pytest.mark.parametrize("verb", WITH_FLAGS)
def test_every_flag_stands_under_a_heading(verb):
    assert {flag.heading for flag in flags_of(verb)} <= set(HEADINGS)


def test_help_of_training_is_in_groups_without_sizes_of_models():
    text = run_script("train", "--help", driver=NO_TENSORFLOW).stdout
    headings = re.findall(r"^\w[\w ]*$", text, re.MULTILINE)
    assert headings == [
        "Data",
        "Teacher",
        "Student",
        "Frame budget",
        "Losses",
        "Training",
        "Run",
        "Everywhere",
    ]
    frames = text.split("\nFrame budget\n")[1].split("\n\n")[0]
    assert {"frame_selection", "frame_budget"} <= shown_flags(frames)
    shown = shown_flags(text)
    small = {f"{name}={value}" for name, value in SMALL_TRAINING.items()}
    assert {*small, "preset=small", "optimizer=Adam", "train_dir"} <= shown
    assert re.search(r"--batch_size=[^-]* Paper: 256\.", text)
    assert not {"lstm_cells", "student_lstm_cells", "on_nan=stop"} & shown


def test_help_adds_the_sizes_of_the_chosen_models():
    models = ["--model=NetVLADModelLF", "--student_model=GruModel"]
    text = run_script("train", *models, "--help", driver=NO_TENSORFLOW).stdout
    shown = shown_flags(text)
    names = ("netvlad_cluster_size", "netvlad_hidden_size", "student_gru_cells")
    sizes = [SMALL_SIZES[name.removeprefix("student_")] for name in names]
    small = set(map("{}={}".format, names, sizes))
    assert {*small, "moe_num_mixtures=2", "student_gru_layers=1"} <= shown
    for name, paper in zip(names, (256, 1024, 1200), strict=True):
        assert re.search(rf"--{name}=[^-]* Paper:\s+{paper}\.", text)
    assert not [name for name in shown if "lstm" in name or "fv_" in name]


def test_verbs_are_listed_in_groups_and_the_version_is_the_project_s():
    listed = run_script("--help", driver=NO_TENSORFLOW).stdout
    for heading, verbs in VERB_GROUPS.items():
        group = listed.split(f"\n{heading}\n")[1].split("\n\n")[0]
        assert re.findall(r"^  (\w+) ", group, re.MULTILINE) == list(verbs)
    with open(ROOT / "pyproject.toml", "rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert distill.__version__ == version
    assert run_script("--version").stdout == f"distill {version}\n"
