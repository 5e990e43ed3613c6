"""Means, spreads, gains and shares of a study, against NumPy by hand."""

import dataclasses

import numpy as np
import pytest

from distill.study.aggregate import METRICS, summarize, summarize_study

TEACHER = (0.40, 0.42)
BASELINE = (0.30, 0.31, 0.35)
STUDENT = (0.34, 0.33, 0.36)


def make_run(seed, gap, k=2, trained_k=None, seconds=10.0):
    scores = dict.fromkeys(METRICS, gap / 2) | {"gap": gap}
    run = {"seed": seed, "k": k, "trained_k": trained_k or k}
    return run | scores | {"seconds": seconds}


def make_row(name, gaps, costs=None):
    runs = [make_run(seed, gap) for seed, gap in enumerate(gaps)]
    return {
        "name": name,
        "flags": "",
        "baseline": "Baseline",
        "num_wanted": 3,
        "runs": runs,
        "costs": costs or {},
    }


def make_results(rows, teacher=TEACHER, **others):
    runs = [make_run(seed, gap, k=10) for seed, gap in enumerate(teacher)]
    results = {
        "budgets": [2],
        "seeds": [0, 1, 2],
        "baseline": "Baseline",
        "teacher": {"runs": runs, "cost": None},
        "rows": rows,
        "cascades": [],
    }
    return results | others


def two_rows(student=STUDENT):
    return [make_row("Baseline", BASELINE), make_row("Student", student)]


def compare_student(rows, **others):
    summary = summarize_study(make_results(rows, **others))
    return summary.rows[1].cells[2].against_baseline["gap"]


def test_statistics_are_mean_and_sample_deviation_of_finite_values():
    expected = (3, np.mean(BASELINE), np.std(BASELINE, ddof=1))
    statistic = summarize([None, np.nan, *BASELINE, np.inf])
    assert dataclasses.astuple(statistic) == pytest.approx(expected)
    assert dataclasses.astuple(summarize([])) == (0, None, None)
    assert dataclasses.astuple(summarize([0.5])) == (1, 0.5, None)


def test_every_metric_of_rows_and_teacher_is_summarized():
    summary = summarize_study(make_results(two_rows()))
    for metric, factor in zip(METRICS, (1, 0.5, 0.5, 0.5, 0.5), strict=True):
        student = summary.rows[1].cells[2].scores[metric]
        assert student.mean == pytest.approx(factor * np.mean(STUDENT))
        assert summary.teacher[metric].mean == pytest.approx(
            factor * np.mean(TEACHER)
        )


def test_gain_and_share_are_of_the_means_and_paired_by_seeds():
    against = compare_student(two_rows())
    gain = np.mean(STUDENT) - np.mean(BASELINE)
    assert against.gain == pytest.approx(gain)
    assert against.share == pytest.approx(gain / (0.41 - np.mean(BASELINE)))
    gains = np.subtract(STUDENT, BASELINE)
    shares = gains / (0.41 - np.array(BASELINE))
    assert against.seed_gains.deviation == pytest.approx(gains.std(ddof=1))
    assert against.seed_shares.mean == pytest.approx(shares.mean())
    assert against.seed_shares.deviation == pytest.approx(shares.std(ddof=1))


def test_seeds_that_only_one_of_the_rows_has_are_not_paired():
    rows = two_rows(STUDENT[:1])
    rows[1]["runs"][0]["seed"] = 2
    against = compare_student(rows)
    assert against.seed_gains.num_seeds == 1
    assert against.seed_gains.mean == pytest.approx(STUDENT[0] - BASELINE[2])
    assert against.gain == pytest.approx(STUDENT[0] - np.mean(BASELINE))


def test_a_missing_part_leaves_gain_and_share_out():
    missing = compare_student(two_rows(student=()))
    assert (missing.gain, missing.share) == (None, None)
    no_teacher = compare_student(two_rows(), teacher=())
    assert no_teacher.gain is not None
    assert no_teacher.share is None


def test_a_teacher_below_the_baseline_leaves_shares_out():
    assert compare_student(two_rows(), teacher=(0.31,)).share is None
    # This one is above the baseline's mean, but below its last seed.
    against = compare_student(two_rows(), teacher=(0.34,))
    assert against.share == pytest.approx(against.gain / 0.02)
    assert against.seed_shares.num_seeds == 0


def test_one_training_for_all_budgets_is_counted_once():
    row = make_row("Shared", ())
    row["runs"] = [
        make_run(seed, 0.3, k=k, trained_k=10, seconds=20.0 + seed)
        for seed in (0, 1)
        for k in (1, 2)
    ]
    rows = [make_row("Baseline", BASELINE), row]
    summary = summarize_study(make_results(rows, budgets=[1, 2]))
    assert [row.trained_frames for row in summary.rows] == [None, 10]
    assert summary.rows[1].seconds == summarize([20.0, 21.0])


def test_students_of_equal_costs_are_one_network():
    dear, cheap = {"frames": 2, "macs": 9}, {"frames": 2}
    names = ("Baseline", "A", "B", "C")
    costs = (cheap, dear, cheap, None)
    rows = [
        make_row(name, BASELINE, {"2": cost} if cost else {})
        for name, cost in zip(names, costs, strict=True)
    ]
    networks = list(summarize_study(make_results(rows)).networks())
    assert networks == [("Baseline and 1 more, k=2", cheap), ("A, k=2", dear)]


def test_frames_and_means_of_equal_other_costs_are_two_networks():
    frames, means = ({"frames_needed": n, "frames": 2} for n in (2, 10))
    rows = [
        make_row("Baseline", BASELINE, {"2": frames}),
        make_row("Frames", STUDENT, {"2": dict(frames)}),
        make_row("Means", STUDENT, {"2": means}) | {"averages": {"2": True}},
    ]
    summary = summarize_study(make_results(rows))
    assert list(summary.networks()) == [
        ("Baseline and 1 more, k=2", frames),
        ("Means, k=2", means),
    ]
    assert summary.families == {False, True}
    rows[2]["runs"] = []
    assert summarize_study(make_results(rows)).families == {False}


def test_cascades_are_means_over_seeds():
    runs = [
        {"seed": seed, "gap": gap, "mean_frames": 2.0, "macs": 8}
        | {"budgets": [1, 5], "shares": [share, 1 - share]}
        for seed, gap, share in ((0, 0.3, 0.5), (1, 0.4, 0.7))
    ]
    cascades = [
        {"row": "Student", "wanted_mean_frames": 2, "runs": runs},
        {"row": "Student", "wanted_mean_frames": 3, "runs": []},
    ]
    study = summarize_study(make_results(two_rows(), cascades=cascades))
    done, missing = study.cascades
    assert done.values["gap"] == summarize([0.3, 0.4])
    assert done.values["milliseconds"].mean is None
    assert done.shares == {1: pytest.approx(0.6), 5: pytest.approx(0.4)}
    assert missing.shares == {}
    assert missing.values["gap"].num_seeds == 0


def test_a_row_may_have_a_baseline_of_its_own():
    few = make_row("Few clips", (0.20, 0.22, 0.21))
    student = make_row("Few clips, taught", (0.29, 0.30, 0.28))
    student["baseline"] = "Few clips"
    rows = [make_row("Baseline", BASELINE), few, student]
    summary = summarize_study(make_results(rows))
    gains = [row.cells[2].against_baseline["gap"] for row in summary.rows]
    assert gains[1].gain == pytest.approx(0.21 - np.mean(BASELINE))
    assert gains[2].gain == pytest.approx(0.08)
    assert gains[2].share == pytest.approx(0.08 / (np.mean(TEACHER) - 0.21))
    assert gains[2].seed_gains.deviation == pytest.approx(
        np.std([0.09, 0.08, 0.07], ddof=1)
    )
    named = summary.rows[2].name_baseline("Baseline").name
    assert named == "Few clips, taught, over Few clips"


def test_without_marks_the_baseline_and_the_best_rows_are_highlighted():
    gaps = [0.30, 0.31, 0.32, 0.33, 0.34, 0.35, 0.36]
    rows = [make_row("Baseline", (0.2,))]
    rows += [make_row(f"{gap:g}", (gap,)) for gap in gaps]
    best = ("0.36", "0.35", "0.34", "0.33", "0.32")
    summary = summarize_study(make_results(rows))
    assert summary.highlights == ("Baseline", *best)
    # The best row of each budget comes first.
    rows[1]["runs"].append(make_run(0, 0.4, k=1))
    summary = summarize_study(make_results(rows, budgets=[1, 2]))
    assert summary.highlights[:3] == ("Baseline", "0.3", "0.36")


def test_marked_rows_and_the_baseline_are_highlighted():
    rows = [make_row(name, STUDENT) for name in ("Baseline", "A", "B")]
    rows[2]["highlight"] = True
    summary = summarize_study(make_results(rows))
    assert summary.highlights == ("Baseline", "B")


def test_wanted_scores_are_counted_by_row():
    rows = [*two_rows(), make_row("One seed", (0.3,))]
    summary = summarize_study(make_results(rows))
    assert (summary.num_scores, summary.num_wanted_scores) == (7, 9)
    rows[2]["num_wanted"] = 1
    assert summarize_study(make_results(rows)).num_wanted_scores == 7
