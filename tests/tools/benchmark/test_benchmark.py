"""The benchmark: its rows, its report and its command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from distill.reporting.timing import time_interleaved
from tools.benchmark.plan import PARTS, SMALL, measure_part
from tools.benchmark.rows import Row, print_rows

ROOT = Path(__file__).parents[3]


def test_ratios_are_ours_over_the_others():
    row = Row("read", "x", "s", 6.0, 3.0, "plain", floor=2.0)
    assert (row.over_baseline, row.over_floor) == (2, 3)
    assert row.baseline_over_floor == 1.5
    row = Row("read", "x", "s", 6.0, 3.0, "plain")
    assert row.over_floor is None
    assert row.baseline_over_floor is None


@pytest.mark.parametrize(
    ("target", "is_met"),
    [
        ("<= 2 x baseline", True),
        ("<= 1.9 x baseline", False),
        (">= 2 x baseline", True),
        (">= 2.1 x baseline", False),
        ("<= 3 x floor", True),
        ("<= 2.9 x floor", False),
        ("<= 6 s", True),
        ("<= 5.9 s", False),
        ("", None),
    ],
)
def test_a_target_is_met_by_its_ratio_or_its_figure(target, is_met):
    row = Row("read", "x", "s", 6.0, 3.0, "plain", floor=2.0, target=target)
    assert row.is_met is is_met


def test_a_target_without_its_baseline_is_not_judged():
    assert Row("export", "x", "s", 6.0, target="<= 2 x floor").is_met is None
    with pytest.raises(ValueError, match="target is 'soon'"):
        _ = Row("export", "x", "s", 6.0, target="soon").is_met


def test_the_table_names_a_part_once_and_tells_what_is_met(capsys):
    rows = [
        Row("read", "one", "s", 6.0, 3.0, "plain", 2.0, "<= 4 x floor"),
        Row("read", "two", "s", 6.0, target="<= 5 s"),
    ]
    print_rows(rows, 5, 3)
    table = capsys.readouterr().out
    first, second = (line for line in table.splitlines() if " s " in line)
    cells = [each.strip() for each in first.split("│")[1:-1]]
    assert cells == [
        *("read", "one", "s", "6", "3", "2", "2", "3"),
        *("<= 4 x floor", "yes", "plain"),
    ]
    cells = [each.strip() for each in second.split("│")[1:-1]]
    assert cells == [
        *("", "two", "s", "6", "-", "-", "-", "-"),
        *("<= 5 s", "no", ""),
    ]


def test_functions_take_turns_after_one_call_each():
    calls = []
    seconds = time_interleaved(
        {name: lambda name=name: calls.append(name) for name in "ab"}, 3
    )
    assert calls == list("abababab")
    assert set(seconds) == {"a", "b"}
    assert min(seconds.values()) >= 0


# The others take minutes together: they start processes or trace networks.
MARKS = {"metrics": [], "end_to_end": [], "read": [pytest.mark.slow]}


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(part, marks=MARKS.get(part, [pytest.mark.nightly]))
        for part in PARTS
        if part != "video"  # It needs a clip: test_video.py.
    ],
)
def test_every_part_has_rows_with_figures(part):
    rows = measure_part(part, SMALL)
    assert rows
    for row in rows:
        assert row.part == part
        assert row.name
        assert row.unit
        assert row.figure > 0
        assert row.baseline is None or row.baseline > 0
        assert row.is_met in (True, False, None)
        assert row.floor is None or row.floor > 0


def run_benchmark(tmp_path, *arguments, backend="tensorflow"):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tools.benchmark",
            "--small_sizes",
            f"--output_json={tmp_path}/figures/benchmark.json",
            *arguments,
        ],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_report_has_the_machine_and_the_rows(tmp_path):
    done = run_benchmark(tmp_path, "metrics")
    assert done.returncode == 0, done.stderr
    assert "timing metrics" in done.stdout
    assert "row by row" in done.stdout
    report = json.loads((tmp_path / "figures/benchmark.json").read_text())
    assert {"processor", "cores", "tensorflow"} <= set(report["machine"])
    assert report["plan"]["repeats"] == SMALL.repeats
    row, _ = report["rows"]
    assert row["over_baseline"] == pytest.approx(
        row["figure"] / row["baseline"]
    )


def test_an_unknown_part_lists_the_choices(tmp_path):
    done = run_benchmark(tmp_path, "metric")
    assert done.returncode == 1
    assert "Unknown part 'metric'. Did you mean 'metrics'?" in done.stderr


def test_other_backends_refuse_parts_that_need_tensorflow(tmp_path):
    pytest.importorskip("jax", reason="JAX is optional")
    done = run_benchmark(tmp_path, "train", backend="jax")
    assert done.returncode == 1
    assert "only the parts 'forward' and 'accelerator' run" in done.stderr
