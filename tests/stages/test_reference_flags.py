"""Flags of the reference systems on a command line and in a flagfile."""

import pytest
from stage_runs import ROOT

from distill.cli.reference_flags import (
    RENAMED,
    WITHOUT_COUNTERPART,
    translate,
)
from distill.cli.verbs import all_flags


def test_each_name_stands_for_one_of_our_flags_or_none():
    assert set(RENAMED.values()) <= all_flags()
    assert not {*RENAMED, *WITHOUT_COUNTERPART} & all_flags()


def test_the_page_lists_each_name_with_ours_or_the_reason():
    page = (ROOT / "docs/coming_from.md").read_text(encoding="utf-8")
    for theirs, ours in RENAMED.items():
        assert f"| `--{theirs}` | `--{ours}` |" in page
    for theirs, reason in WITHOUT_COUNTERPART.items():
        assert f"| `--{theirs}` | {reason} |" in page


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("--iterations=30", "--sample_frames=30"),
        ("--nolstm_backward", "--noreversed_time"),
        ("-gru_backward", "-reversed_time"),
        ("--max_step", "--max_steps"),
        ("--model=iterations", "--model=iterations"),
        ("iterations", "iterations"),
        ("--iteration=3", "--iteration=3"),
    ],
)
def test_a_flag_gets_our_name(theirs, ours):
    assert translate(theirs) == ours


@pytest.mark.parametrize("flag", ["--num_readers=8", "--nois_training"])
def test_a_flag_without_a_counterpart_is_left_out_with_the_reason(flag, capsys):
    assert translate(flag) is None
    name = flag.partition("=")[0]
    reason = WITHOUT_COUNTERPART[name.removeprefix("--").removeprefix("no")]
    assert capsys.readouterr().out == f"NOTE: {name} is left out: {reason}.\n"
