"""A study's report: tables and plots as markdown and HTML, runs as CSV."""

import csv
import dataclasses
import functools
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from distill.reporting import page
from distill.settings.frame_cost import FrameCost
from distill.study.aggregate import (
    COMPARED_METRICS,
    METRICS,
    Cell,
    Statistic,
    StudySummary,
    summarize_study,
)
from distill.study.plot_flaws import LATENCIES, find_flaw, has_spread
from distill.study.plots import PLOT_NAMES, draw_plots
from distill.study.whole_cost import (
    FRAME_COST,
    WHOLE_COSTS,
    add_whole_costs,
)
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import parse_json_object
from distill.system.storage import to_path

_TITLE = "Frame-budget study"
# Title of the column and number format of each cost.
_COSTS = {
    "frames_needed": ("frames needed", ",d"),
    "frames": ("frames classified", ",d"),
    "bytes_read": ("bytes read", ",d"),
    "macs": ("MACs", ",.0f"),
    "parameters": ("parameters", ",d"),
    "milliseconds_at_1": ("ms, alone", ",.3f"),
    "milliseconds_at_64": ("ms, batch of 64", ",.3f"),
}
# Those with the cost of decoding and extraction, where it was given.
_WHOLE_COSTS = {
    "whole_macs": ("MACs with extraction", ",.0f"),
    "whole_milliseconds_at_1": ("ms with extraction, alone", ",.3f"),
    "whole_milliseconds_at_64": ("ms with extraction, batch of 64", ",.3f"),
}
_ALL_COSTS = _COSTS | _WHOLE_COSTS
_WHOLE_CASCADE_COSTS = {
    "whole_macs": "MACs with extraction",
    "whole_milliseconds": "ms with extraction, batch of 64",
}


def rewrite_report(
    directory: str | Path, frame_cost: FrameCost | None = None
) -> None:
    """Writes the report of a directory's `results.json` again.

    What `frame_cost` gives stands in place of the cost in the file.

    Raises:
      ValueError: The file is missing or does not hold a study's results.
    """
    path = to_path(directory) / "results.json"
    try:
        results = parse_json_object(path.read_text(encoding="utf-8"))
        if frame_cost is not None and (given := frame_cost.given()):
            results[FRAME_COST] = results.get(FRAME_COST, {}) | given
        summarize_study(add_whole_costs(results))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold a study's results.") from error
    write_report(results, directory)


def write_report(results: Mapping[str, Any], directory: str | Path) -> None:
    """Writes `report.md`, `report.html`, `results.csv` and the plots.

    The results are those of `results.gather_results`. Each file is written
    whole or not at all; the plots of an earlier report are replaced or
    removed. Without matplotlib there are no plots, and the report says how to
    install it.
    """
    directory = to_path(directory)
    results = add_whole_costs(results)
    summary = summarize_study(results)
    try:
        plots = draw_plots(summary)
    except ImportError:
        plots = None
    sections = _sections(results, summary, plots)
    files = {
        "report.md": page.render_markdown(_TITLE, sections).encode(),
        "report.html": page.render_html(_TITLE, sections).encode(),
        "results.csv": _write_runs(results).encode(),
    }
    for plot in plots or ():
        files[plot.file_name] = plot.svg.encode()
        files[plot.png_name] = plot.png
    for name, contents in files.items():
        with replace_atomically(directory / name) as temporary:
            temporary.write_bytes(contents)
    for path in map(directory.joinpath, PLOT_NAMES):
        if path.name not in files:
            path.unlink(missing_ok=True)
            path.with_suffix(".png").unlink(missing_ok=True)


def _write_runs(results: Mapping[str, Any]) -> str:
    teacher = results["teacher"]
    lines = [
        {"row": "Teacher"} | (teacher["cost"] or {}) | run
        for run in teacher["runs"]
    ] + [
        {"row": row["name"]} | row["costs"].get(str(run["k"]), {}) | run
        for row in results["rows"]
        for run in row["runs"]
    ]
    costs = (*_COSTS, *(n for n in _WHOLE_COSTS if any(n in x for x in lines)))
    columns = ("row", "k", "trained_k", "seed", *METRICS, "seconds", *costs)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _sections(
    results: Mapping[str, Any],
    summary: StudySummary,
    plots: list[page.Plot] | None,
) -> list[page.Section]:
    over_frames = [p for p in plots or () if "frames" in p.file_name]
    over_costs = [p for p in plots or () if p not in over_frames]
    about_plots: tuple[page.Words, ...] = ()
    if plots:
        about_plots = ("In the plots points of equal x stand side by side.",)
        if len(summary.highlights) < len(summary.rows):
            about_plots += (" The grey lines are the table's other methods.",)
        if True in summary.families:
            about_plots += (
                " Dashed lines are of means, a point for each k; means need "
                "all frames.",
            )
    elif plots is None:
        words = "There are no plots, because matplotlib is missing; install "
        about_plots = (words, page.Code("pip install -e .[study]"), ".")
    scores = (*_scores(summary), page.Paragraph(about_plots), *over_frames)
    sections = [
        page.Section("In short", _headline(results["data"], summary)),
        page.Section("Scores", scores),
        page.Section("Gain over the baseline", _gains(summary)),
        page.Section(
            "Costs",
            (
                *_costs(results, summary),
                *(_about_plots(summary, over_costs) if plots else ()),
                *over_costs,
            ),
        ),
        page.Section("Which selection to take", _choices(summary)),
        page.Section("Cascades", _cascades(summary)),
        page.Section("Methods", _methods(summary)),
        page.Section("Data, machine, command", _origin(results)),
    ]
    return [section for section in sections if section.blocks]


def _headline(
    data: Mapping[str, Any], summary: StudySummary
) -> tuple[page.Block, ...]:
    means = ", or k means of them," if True in summary.families else ","
    about = (
        f"Students that see k of a video's frames{means} against a teacher "
        f"that sees them all (at most {data['max_frames']}). "
        f"Methods: {len(summary.rows)}; "
        f"k: {', '.join(map(str, summary.budgets))}; "
        f"seeds: {len(summary.seeds)}; "
        f"videos scored: {page.write_number(data['num_eval_videos'], ',d')}; "
        f"classes: {data['num_classes']:,}."
    )
    if summary.num_scores < summary.num_wanted_scores:
        about += (
            f" Incomplete: {summary.num_scores:,} of "
            f"{summary.num_wanted_scores:,} scores are there so far."
        )
    teacher = f"Teacher, {data['teacher_model']}"
    rows = [("all", teacher, _write_means(summary.teacher), "", "")]
    for k in summary.budgets:
        row = max(summary.rows, key=lambda row: row.cells[k].rank)
        cell = row.cells[k]
        name = row.name if cell.scores["gap"].num_seeds else "-"
        gain, share = _write_gain("gap", cell), _write_share("gap", cell)
        if name == summary.baseline:
            gain = share = ""
        rows.append((str(k), name, _write_means(cell.scores), gain, share))
    titles = "frames classified|best by GAP|GAP/mAP|gain|share closed"
    header = tuple(titles.split("|"))
    return page.Paragraph((about,)), page.Table(header, tuple(rows), 2)


def _budget_table(
    summary: StudySummary, title: str, write: Callable[[Cell], page.Words]
) -> page.Table:
    """Returns a table with a row per method and a column per budget."""
    first, *others = summary.budgets
    rows = (
        (row.name, *(write(row.cells[k]) for k in summary.budgets))
        for row in summary.rows
    )
    return page.Table((title, f"k={first}", *map(str, others)), tuple(rows))


def _metric_tables(
    summary: StudySummary, about: str, write: Callable[[str, Cell], str]
) -> tuple[page.Block, ...]:
    tables = (
        _budget_table(summary, title, functools.partial(write, metric))
        for metric, title in COMPARED_METRICS.items()
    )
    return page.Paragraph((about,)), *tables


def _scores(summary: StudySummary) -> tuple[page.Block, ...]:
    best = [
        max((row.cells[k] for row in summary.rows), key=lambda cell: cell.rank)
        for k in summary.budgets
    ]

    def write_pair(cell: Cell) -> page.Words:
        pair = _write_means(cell.scores)
        is_best = cell in best and pair != "-"
        return page.Strong(pair) if is_best else pair

    about = (
        "Means over seeds; the teacher, on all frames: "
        f"{_write_means(summary.teacher)}. Bold: a budget's best GAP."
    )
    teacher = [summary.teacher[metric] for metric in COMPARED_METRICS]
    spread = (
        "Mean ± standard deviation over seeds (number of seeds). The teacher: "
        f"{' / '.join(map(_write_statistic, teacher))}."
    )
    return (
        page.Paragraph((about,)),
        _budget_table(summary, "GAP/mAP", write_pair),
        *_metric_tables(
            summary,
            spread,
            lambda metric, cell: _write_statistic(cell.scores[metric]),
        ),
    )


def _write_means(scores: Mapping[str, Statistic]) -> str:
    """Returns `.731/.297`, or `-` without a run."""
    means = [scores[metric].mean for metric in COMPARED_METRICS]
    return "-" if means[0] is None else "/".join(map(page.write_score, means))


def _gains(summary: StudySummary) -> tuple[page.Block, ...]:
    baselines = {summary.baseline, *(row.baseline for row in summary.rows)}
    rows = tuple(
        row.name_baseline(summary.baseline)
        for row in summary.rows
        if row.name not in baselines
    )
    summary = dataclasses.replace(summary, rows=rows)
    gains = (
        f"Gain of the mean over {summary.baseline}, or over the named row, ± "
        "standard deviation of the gains by seed (seeds that both have)."
    )
    shares = (
        "The gain as a share of the teacher's gain over the baseline "
        "(shares by seed, mean ± standard deviation)."
    )
    return (
        *_metric_tables(summary, gains, _write_gain),
        *_metric_tables(summary, shares, _write_share),
    )


def _write_statistic(scores: Statistic, sign: str = "") -> str:
    """Returns mean, deviation and number of seeds: `.7310 ± .0021 (3)`."""
    if scores.mean is None:
        return "-"
    text = page.write_score(scores.mean, f"{sign}.4f")
    if scores.deviation is not None:
        text += f" ± {page.write_score(scores.deviation, '.4f')}"
    return f"{text} ({scores.num_seeds})"


def _write_gain(metric: str, cell: Cell) -> str:
    against = cell.against_baseline[metric]
    gain = dataclasses.replace(against.seed_gains, mean=against.gain)
    return _write_statistic(gain, "+")


def _write_share(metric: str, cell: Cell) -> str:
    against = cell.against_baseline[metric]
    share, by_seed = against.share, against.seed_shares
    if share is None:
        return "-"
    text = f"{100 * share:.0f} %"
    if by_seed.mean is not None and by_seed.deviation is not None:
        text += f" ({100 * by_seed.mean:.0f} ± {100 * by_seed.deviation:.0f} %)"
    return text


def _costs(
    results: Mapping[str, Any], summary: StudySummary
) -> tuple[page.Block, ...]:
    """Returns a line per network; students of equal costs share one."""
    teacher, networks = summary.teacher_cost or {}, list(summary.networks())
    columns = [
        key for key in _ALL_COSTS if any(key in cost for _, cost in networks)
    ]

    def write_cost(network: str, cost: Mapping[str, Any], key: str) -> str:
        text = page.write_number(cost.get(key), _ALL_COSTS[key][1])
        if network != "Teacher" and cost.get(key) and teacher.get(key):
            text += f" ({page.write_percent(cost[key] / teacher[key])})"
        return text

    rows = [
        (network, *(write_cost(network, cost, key) for key in columns))
        for network, cost in networks
    ]
    start = "decoded frames"
    about = (
        "Costs of one video; in parentheses the share of the teacher's. Bytes "
        "are those of a record that holds just the network's inputs: the "
        "frames classified, the means, or all frames for attention. "
    )
    # Results of earlier versions lack this; their times begin later.
    if "frames_needed" in columns:
        start = "the record of a whole video"
        about += "Frames needed are to be decoded, their features extracted. "
    about += f"Times pass from {start} to predictions:"
    about = _describe_frame_cost(results) + about
    header = ("network", *(_ALL_COSTS[key][0] for key in columns))
    return page.Paragraph((about,)), page.Table(header, tuple(rows))


def _describe_frame_cost(results: Mapping[str, Any]) -> str:
    """Returns what each frame adds that is needed; empty for nothing."""
    frame = FrameCost(**results.get(FRAME_COST, {}))
    parts = []
    if frame.frame_macs is not None:
        parts.append(f"{frame.frame_macs:,} MACs")
    if frame.frame_milliseconds is not None:
        parts.append(f"{frame.frame_milliseconds:,g} ms")
    if not parts:
        return ""
    return (
        f"Costs with extraction add {' and '.join(parts)} for each frame "
        "needed. "
    )


def _choices(summary: StudySummary) -> tuple[page.Block, ...]:
    """Returns the best row of frames and that of means, for each k."""
    if len(summary.families) < 2:
        return ()
    costs = ["frames_needed", "frames", "bytes_read", "macs"]
    costs += [
        name
        for name in _WHOLE_COSTS
        if any(name in cost for _, cost in summary.networks())
    ]
    rows = []
    for k in summary.budgets:
        best: dict[bool, tuple[str, Cell]] = {}
        for row in sorted(summary.rows, key=lambda row: -row.cells[k].rank):
            cell = row.cells[k]
            if cell.scores["gap"].num_seeds:
                best.setdefault(cell.averages, (row.name, cell))
        for averages, (name, cell) in sorted(best.items()):
            cases = ["stored"] if averages == next(iter(best)) else []
            if not averages:
                cases += ["to be extracted", "both"]
            numbers = (
                page.write_number(
                    (cell.cost or {}).get(key), _ALL_COSTS[key][1]
                )
                for key in costs
            )
            family = "means" if averages else "frames"
            texts = (str(k), family, name, ", ".join(cases) or "-")
            rows.append((*texts, _write_means(cell.scores), *numbers))
    about = (
        "The best row by GAP of those that classify k frames, and of those "
        "that classify k means. Where features are stored, any row can be "
        "taken; where they are to be extracted, means would need those of all "
        "frames. One student for both kinds of videos is one of frames."
    )
    titles = ("k", "classifies", "best by GAP", "take it where features are")
    header = (*titles, "GAP/mAP", *(_ALL_COSTS[key][0] for key in costs))
    return page.Paragraph((about,)), page.Table(header, tuple(rows), 4)


def _about_plots(
    summary: StudySummary, plots: list[page.Plot]
) -> tuple[page.Block, ...]:
    """Returns which plots are left out, or have no bars, and why."""
    sentences = []
    axes = {"macs": "MACs of a video"} | LATENCIES | WHOLE_COSTS
    for cost, axis in axes.items():
        if flaw := find_flaw(summary, cost):
            sentences.append(f"There is no plot over {axis}: {flaw}.")
        elif (
            cost in LATENCIES
            and any(cost in plot.file_name for plot in plots)
            and not has_spread(summary, cost)
        ):
            sentences.append(
                f"The plots over {axis} have no bars along x, because the "
                "spread of the times was not measured."
            )
    return (page.Paragraph((" ".join(sentences),)),) if sentences else ()


def _cascades(summary: StudySummary) -> tuple[page.Block, ...]:
    frames = {"frames_needed": "frames needed", "mean_frames": "frames seen"}
    if all(c.values["frames_needed"].mean is None for c in summary.cascades):
        del frames["frames_needed"]  # Results of earlier versions lack it.
    whole = {
        name: title
        for name, title in _WHOLE_CASCADE_COSTS.items()
        if any(c.values[name].num_seeds for c in summary.cascades)
    }
    rows = []
    for cascade in summary.cascades:
        values = cascade.values
        stops = (
            f"{page.write_percent(share)} at {k}"
            for k, share in cascade.shares.items()
        )
        rows.append(
            (
                cascade.row,
                ", ".join(stops) or "-",
                f"{cascade.wanted_mean_frames:g}",
                *(page.write_number(values[key].mean, ".2f") for key in frames),
                _write_statistic(values["gap"]),
                _write_statistic(values["mean_average_precision"]),
                page.write_number(values["macs"].mean, ",.0f"),
                page.write_number(values["milliseconds"].mean, ",.3f"),
                *(page.write_number(values[key].mean, ",.1f") for key in whole),
            )
        )
    texts = ("student", "videos stop at k", "frames wanted", *frames.values())
    scores = ("GAP (seeds)", "mAP (seeds)")
    numbers = (*scores, "MACs", "ms, batch of 64", *whole.values())
    return (page.Table((*texts, *numbers), tuple(rows), 2),) if rows else ()


def _methods(summary: StudySummary) -> tuple[page.Block, ...]:
    rows = []
    for row in summary.rows:
        trained = "for each k"
        if row.trained_frames is not None:
            trained = f"once for all k, up to {row.trained_frames}"
        seconds = page.write_number(row.seconds.mean, ",.0f")
        rows.append((row.name, trained, page.Code(row.flags), seconds))
    header = ("method", "trained", "flags", "seconds a training")
    return (page.Table(header, tuple(rows), 3),)


def _origin(results: Mapping[str, Any]) -> tuple[page.Block, ...]:
    rows = tuple(
        (name.replace("_", " "), "-" if fact is None else str(fact))
        for name, fact in (results["data"] | results["machine"]).items()
    )
    return page.Table(("", ""), rows, 2), page.Listing(results["command"])
