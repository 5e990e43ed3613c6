"""The report of a hand-made study, literally, and its page and plots."""

import csv
import html.parser
import json
import re
import shutil
import struct
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from distill.reporting.page import PLOT_COLOURS
from distill.settings.frame_cost import FrameCost
from distill.study.report import rewrite_report, write_report

DOCUMENTS = Path(__file__).parents[2] / "docs"
ODD_NAME = "<b>&"
COST = {
    "frames_needed": 1,
    "frames": 1,
    "bytes_read": 128,
    "macs": 250_000,
    "parameters": 1_000,
    "milliseconds_at_1": 1.5,
    "milliseconds_at_64": None,
}
TEACHER_COST = COST | {
    "frames_needed": 10,
    "frames": 10,
    "macs": 10**6,
    "milliseconds_at_64": 0.25,
}
CASCADE = {
    "seed": 0,
    "frames_needed": 1.5,
    "mean_frames": 1.5,
    "macs": 300_000.0,
    "milliseconds": 0.2,
    "gap": 0.35,
    "mean_average_precision": 0.25,
    "thresholds": [0.7],
    "budgets": [1, 2],
    "shares": [0.75, 0.25],
}


def make_run(k, seed, gap, average_precision):
    others = {"hit_at_one": 0.5, "perr": 0.4, "loss": 6.0, "seconds": 30.0}
    scores = {"gap": gap, "mean_average_precision": average_precision}
    return {"k": k, "trained_k": k, "seed": seed} | scores | others


def make_row(name, *runs):
    more = {"frames": 2, "macs": 400_000, "milliseconds_at_1": 2.5}
    costs = {"1": dict(COST), "2": COST | more | {"frames_needed": 2}}
    runs = [make_run(*run) for run in runs]
    return {
        "name": name,
        "flags": "--a=b|c",
        "baseline": "Plain",
        "num_wanted": 4,
        "runs": runs,
        "costs": costs,
    }


def make_results():
    """Returns two budgets and two seeds; of the last row a run is there."""
    teacher = [make_run(10, 0, 0.39, 0.28), make_run(10, 1, 0.41, 0.30)]
    return {
        "command": "distill study --seeds=0,1",
        "machine": {"processor": "abacus"},
        "data": {
            "train_data_pattern": "train-*",
            "eval_data_pattern": "eval-*",
            "num_eval_videos": 12_345,
            "max_frames": 10,
            "num_features": 128,
            "num_classes": 1_000,
            "teacher_model": "Big",
            "student_model": "Small",
        },
        "budgets": [1, 2],
        "seeds": [0, 1],
        "baseline": "Plain",
        "teacher": {"runs": teacher, "cost": TEACHER_COST},
        "rows": [
            make_row(
                "Plain",
                (1, 0, 0.29, 0.19),
                (1, 1, 0.31, 0.21),
                (2, 0, 0.32, 0.22),
                (2, 1, 0.32, 0.22),
            ),
            make_row("Taught", (1, 0, 0.34, 0.25), (1, 1, 0.36, 0.27)),
            make_row(ODD_NAME, (2, 0, 0.30, 0.2)),
        ],
        "cascades": [
            {"row": "Taught", "wanted_mean_frames": 1.5, "runs": [CASCADE]}
        ],
    }


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Returns a directory with the report, and plots if they can be drawn."""
    directory = tmp_path_factory.mktemp("report")
    write_report(make_results(), directory)
    return directory


@pytest.fixture
def markdown(directory):
    return (directory / "report.md").read_text(encoding="utf-8")


@pytest.fixture
def page(directory):
    return (directory / "report.html").read_text(encoding="utf-8")


def write_without_plots(monkeypatch, directory, results):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write_report(results, directory)
    return (directory / "report.md").read_text(encoding="utf-8")


def table_below(markdown, header):
    lines = markdown.splitlines()
    first = lines.index(header)
    return "\n".join(lines[first : lines.index("", first)])


def test_scores_have_the_published_table_s_shape(markdown):
    header = "| GAP/mAP | k=1 | 2 |"
    assert table_below(markdown, header) == (
        f"{header}\n"
        "| --- | ---: | ---: |\n"
        "| Plain | .300/.200 | **.320/.220** |\n"
        "| Taught | **.350/.260** | - |\n"
        "| &lt;b&gt;&amp; | - | .300/.200 |"
    )


def test_spreads_gains_and_shares_stand_below(markdown):
    header = "| GAP | k=1 | 2 |"
    assert table_below(markdown, header) == (
        f"{header}\n"
        "| --- | ---: | ---: |\n"
        "| Plain | .3000 ± .0141 (2) | .3200 ± .0000 (2) |\n"
        "| Taught | .3500 ± .0141 (2) | - |\n"
        "| &lt;b&gt;&amp; | - | .3000 (1) |"
    )
    gains = markdown[markdown.index("## Gain over the baseline") :]
    assert table_below(gains, header) == (
        f"{header}\n"
        "| --- | ---: | ---: |\n"
        "| Taught | +.0500 ± .0000 (2) | - |\n"
        "| &lt;b&gt;&amp; | - | -.0200 (1) |"
    )
    shares = gains[gains.index("The gain as a share") :]
    # Taught, k=1: 0.05/0.10; by seeds 0.05/0.11 and 0.05/0.09.
    assert table_below(shares, header) == (
        f"{header}\n"
        "| --- | ---: | ---: |\n"
        "| Taught | 50 % (51 ± 7 %) | - |\n"
        "| &lt;b&gt;&amp; | - | -25 % |"
    )


def test_the_best_row_of_each_budget_comes_first(markdown):
    header = (
        "| frames classified | best by GAP | GAP/mAP | gain | share closed |"
    )
    assert table_below(markdown, header) == (
        f"{header}\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| all | Teacher, Big | .400/.290 |  |  |\n"
        "| 1 | Taught | .350/.260 | +.0500 ± .0000 (2) | 50 % (51 ± 7 %) |\n"
        "| 2 | Plain | .320/.220 |  |  |"
    )
    assert "Incomplete: 7 of 12 scores are there so far." in markdown


def test_costs_are_compared_with_the_teacher_s(markdown):
    costs = markdown[markdown.index("## Costs") :]
    assert (
        "| network | frames needed | frames classified | bytes read | MACs | "
        "parameters | ms, alone | ms, batch of 64 |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| Teacher | 10 | 10 | 128 | 1,000,000 | 1,000 | 1.500 | 0.250 |\n"
        "| Plain and 2 more, k=1 | 1 (10 %) | 1 (10 %) | 128 (100 %) | "
        "250,000 (25 %) | 1,000 (100 %) | 1.500 (100 %) | - |"
    ) in costs
    assert "Times pass from the record of a whole video to pred" in costs


def add_means(results):
    """Adds a row of means, best at 1 and not at 2 frames; returns results."""
    row = make_row("Means", (1, 0, 0.37, 0.28), (2, 0, 0.304, 0.21))
    for cost in row["costs"].values():
        cost["frames_needed"] = 10
    row["averages"] = {"1": True, "2": True}
    results["rows"].append(row)
    return results


def test_frames_and_means_are_told_apart(monkeypatch, tmp_path):
    results = add_means(make_results())
    report = write_without_plots(monkeypatch, tmp_path, results)
    assert (
        "| Plain and 2 more, k=2 | 2 (20 %) | 2 (20 %) | 128 (100 %) | "
        "400,000 (40 %) | 1,000 (100 %) | 2.500 (167 %) | - |\n"
        "| Means, k=2 | 10 (100 %) | 2 (20 %) | 128 (100 %) | "
        "400,000 (40 %) | 1,000 (100 %) | 2.500 (167 %) | - |"
    ) in report
    header = (
        "| k | classifies | best by GAP | take it where features are | GAP/mAP "
        "| frames needed | frames classified | bytes read | MACs |"
    )
    assert table_below(report, header) == (
        f"{header}\n"
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| 1 | frames | Taught | to be extracted, both | .350/.260 | 1 | 1 | "
        "128 | 250,000 |\n"
        "| 1 | means | Means | stored | .370/.280 | 10 | 1 | 128 | 250,000 |\n"
        "| 2 | frames | Plain | stored, to be extracted, both | .320/.220 | 2 "
        "| 2 | 128 | 400,000 |\n"
        "| 2 | means | Means | - | .304/.210 | 10 | 2 | 128 | 400,000 |"
    )
    # .07 over the baseline's mean of .30, of a gap of .10; .016 below its .32.
    assert "| Means | 70 % | -20 % |" in report
    with (tmp_path / "results.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert (last["frames_needed"], last["frames"]) == ("10", "2")


def test_a_frame_s_cost_gives_whole_costs(monkeypatch, tmp_path):
    results = add_means(make_results())
    results["frame_cost"] = {"frame_macs": 10**6, "frame_milliseconds": 20.0}
    report = write_without_plots(monkeypatch, tmp_path, results)
    assert "add 1,000,000 MACs and 20 ms for each frame needed." in report
    whole = (
        "MACs with extraction | ms with extraction, alone | "
        "ms with extraction, batch of 64 |\n"
    )
    assert report.count(f"| ms, batch of 64 | {whole}") == 1
    assert (
        "| Teacher | 10 | 10 | 128 | 1,000,000 | 1,000 | 1.500 | 0.250 "
        "| 11,000,000 | 201.500 | 200.250 |\n"
        "| Plain and 2 more, k=1 | 1 (10 %) | 1 (10 %) | 128 (100 %) | "
        "250,000 (25 %) | 1,000 (100 %) | 1.500 (100 %) | - "
        "| 1,250,000 (11 %) | 21.500 (11 %) | - |\n"
        "| Means, k=1 | 10 (100 %) | 1 (10 %) | 128 (100 %) | "
        "250,000 (25 %) | 1,000 (100 %) | 1.500 (100 %) | - "
        "| 10,250,000 (93 %) | 201.500 (100 %) | - |"
    ) in report
    # Of those to choose from, and of the cascade: 300,000 + 1.5 frames.
    assert "| 128 | 250,000 | 1,250,000 | 21.500 | - |" in report
    assert "| 300,000 | 0.200 | 1,800,000.0 | 30.2 |" in report
    with (tmp_path / "results.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert last["whole_macs"] == "10400000"


@pytest.mark.slow
def test_whole_costs_have_plots_of_their_own(tmp_path):
    results = make_results() | {"frame_cost": {"frame_macs": 10**6}}
    plots = draw(tmp_path, results)
    names = {name for name in plots if "whole" in name}
    assert names == {"gap_whole_macs.svg", "map_whole_macs.svg"}
    assert "cascade, 1.5" in plots["gap_whole_macs.svg"]
    write_report(make_results(), tmp_path)
    assert not list(tmp_path.glob("*whole*"))


def test_a_report_is_written_again_with_another_frame_cost(
    monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    results = make_results() | {"frame_cost": {"frame_macs": 10**6}}
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    rewrite_report(tmp_path, FrameCost(frame_milliseconds=20.0))
    report = (tmp_path / "report.md").read_text()
    assert "add 1,000,000 MACs and 20 ms for each frame needed." in report
    assert json.loads(path.read_text()) == results
    path.write_text(json.dumps(results | {"frame_cost": {"frame_macs": -1}}))
    with pytest.raises(ValueError, match="frame_macs must be"):
        rewrite_report(tmp_path)


def test_a_family_without_a_score_is_no_choice(monkeypatch, tmp_path):
    results = add_means(make_results())
    results["rows"][-1]["runs"] = []
    report = write_without_plots(monkeypatch, tmp_path, results)
    assert "Which selection to take" not in report
    assert "| Means, k=2 | 10 (100 %) |" in report


def test_results_of_earlier_versions_lack_frames_needed(monkeypatch, tmp_path):
    text = re.sub(r'"frames_needed": [^,]+, ', "", json.dumps(make_results()))
    results = json.loads(text)
    report = write_without_plots(monkeypatch, tmp_path, results)
    assert "| network | frames classified | bytes read |" in report
    assert "Times pass from decoded frames to predictions" in report
    assert "frames needed" not in report


def test_the_report_has_cascades_flags_machine_and_command(markdown):
    assert (
        "| Taught | 75 % at 1, 25 % at 2 | 1.5 | 1.50 | 1.50 | .3500 (1) "
        "| .2500 (1) | 300,000 | 0.200 |"
    ) in markdown
    assert r"| Plain | for each k | `--a=b\|c` | 30 |" in markdown
    assert "| processor | abacus |" in markdown
    assert "\n```\ndistill study --seeds=0,1\n" in markdown


def test_runs_are_a_line_each(directory):
    with (directory / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    names = ["Teacher"] * 2 + ["Plain"] * 4 + ["Taught"] * 2 + [ODD_NAME]
    assert [line["row"] for line in lines] == names
    last = lines[-1]
    assert (last["k"], last["seed"], last["gap"]) == ("2", "0", "0.3")
    assert last["frames"] == "2"
    assert last["milliseconds_at_64"] == ""


def test_a_study_without_a_run_is_reported(monkeypatch, tmp_path):
    results = make_results() | {"cascades": []}
    results["teacher"]["runs"] = []
    for row in results["rows"]:
        row["runs"] = []
    report = write_without_plots(monkeypatch, tmp_path, results)
    assert "| Plain | - | - |" in report
    assert "Incomplete: 0 of 12" in report
    assert "## Cascades" not in report


def test_without_matplotlib_the_report_says_how_to_get_plots(
    monkeypatch, tmp_path
):
    report = write_without_plots(monkeypatch, tmp_path, make_results())
    assert "`pip install -e .[study]`" in report
    assert ".svg" not in report
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"report.md", "report.html", "results.csv"}


def test_the_page_is_well_formed_and_needs_nothing_else(page):
    ElementTree.fromstring(page)
    assert "http" not in page
    assert page.count("<script>") == page.count("<script") == 1
    assert not re.findall(r'\b(?:src|href)="[^#]', page)
    assert not re.findall(r"url\([^#]", page)
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    uses = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)
    assert {a or b for a, b in uses} <= set(names)


def test_the_page_s_tables_are_the_markdown_s(page, markdown):
    parser = TableParser()
    parser.feed(page)
    lines = [line[2:-2] for line in markdown.splitlines() if line[:1] == "|"]
    cells = [
        html.unescape(re.sub(r"\*\*|`|\\", "", cell))
        for line in lines
        if "---" not in line
        for cell in line.split(" | ")
    ]
    assert parser.cells == cells
    assert ODD_NAME in cells
    assert ODD_NAME not in page


class TableParser(html.parser.HTMLParser):
    """Collects the texts of a page's cells."""

    def __init__(self):
        super().__init__()
        self.cells = []
        self._is_in_cell = False

    def handle_starttag(self, tag, attrs):
        self._is_in_cell |= tag in ("td", "th")
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        self._is_in_cell &= tag not in ("td", "th")

    def handle_data(self, data):
        if self._is_in_cell:
            self.cells[-1] += data


def test_plots_show_every_row_that_has_a_point(directory):
    pytest.importorskip("matplotlib", reason="it comes with the extra study")
    plots = {path.name: path.read_text() for path in directory.glob("*.svg")}
    pngs = {path.name: path for path in directory.glob("*.png")}
    # Of a batch of 64 nothing is measured.
    assert set(plots) == {
        f"{metric}_{axis}.svg"
        for metric in ("gap", "map")
        for axis in ("frames", "macs", "milliseconds_at_1")
    }
    report = (directory / "report.md").read_text()
    for name, plot in plots.items():
        ElementTree.fromstring(plot)
        for row in ("Plain", "Taught", "&lt;b&gt;&amp;", "Teacher, all 10"):
            assert f"<!-- {row}" in plot
        assert f"]({name})" in report
        png = pngs.pop(name.replace(".svg", ".png"))
        # Widths and heights in dots: those of the SVG are in points.
        width, height = re.search(r'viewBox="0 0 (\S+) (\S+)"', plot).groups()
        wanted = [float(each) * 150 / 72 for each in (width, height)]
        assert png_size(png) == pytest.approx(wanted, abs=1)
        assert f"[PNG]({png.name})" in report
    assert not pngs
    assert "cascade, 1.5" in plots["gap_frames.svg"]
    assert "cascade, 1.5" not in plots["gap_milliseconds_at_1.svg"]


def png_size(path):
    """Returns width and height of a PNG, from its first chunk."""
    contents = path.read_bytes()
    assert contents[12:16] == b"IHDR"
    return struct.unpack(">II", contents[16:24])


def draw(tmp_path, results):
    """Returns the plots of results, by name."""
    pytest.importorskip("matplotlib", reason="it comes with the extra study")
    write_report(results, tmp_path)
    return {path.name: path.read_text() for path in tmp_path.glob("*.svg")}


def test_means_stand_at_all_frames_over_those_needed(tmp_path):
    plots = draw(tmp_path, add_means(make_results()))
    ticks = {
        name: re.findall(r"<!-- (\d+) -->", plots[f"gap_{name}.svg"])
        for name in ("frames", "frames_needed")
    }
    assert ticks == {
        "frames": ["1", "2"],
        "frames_needed": ["1", "2", "10"],
    }
    # The row's points in both plots: one x alone, and one for each k.
    for name, number in (("frames", 2), ("frames_needed", 1)):
        line, *_legend = re.findall(
            r'<path d="([^"]+)"[^>]*stroke-dasharray', plots[f"gap_{name}.svg"]
        )
        assert len(set(re.findall(r"[ML] (\S+)", line))) == number
    assert "Dashed lines are of means" in (tmp_path / "report.md").read_text()


def test_few_rows_are_in_colour_and_the_others_grey(tmp_path):
    results = make_results()
    for row in results["rows"]:
        row["highlight"] = row["name"] == "Taught"
    plot = draw(tmp_path, results)["gap_frames.svg"]
    # The baseline is in colour always.
    assert "<!-- Plain" in plot
    assert "<!-- Taught" in plot
    assert "<!-- &lt;b&gt;" not in plot
    assert "<!-- 1 other method -->" in plot
    assert PLOT_COLOURS["other"] in plot


def test_latencies_have_bars_where_their_spread_is_measured(
    directory, markdown, tmp_path
):
    pytest.importorskip("matplotlib", reason="it comes with the extra study")
    results, name = make_results(), "gap_milliseconds_at_1.svg"
    plain = (directory / name).read_text()
    assert "quartiles" not in plain
    assert "batch 1 have no bars along x, because the spread" in markdown
    for row in results["rows"]:
        for cost in row["costs"].values():
            middle = cost["milliseconds_at_1"]
            cost["milliseconds_at_1_low"] = 0.9 * middle
            cost["milliseconds_at_1_high"] = 1.2 * middle
    spread = draw(tmp_path, results)[name]
    assert "Bars along x: quartiles of the calls." in spread
    bars = re.compile('id="LineCollection_')
    # Each of the three rows has bars along x, too.
    assert len(bars.findall(spread)) == len(bars.findall(plain)) + 3
    assert "no bars" not in (tmp_path / "report.md").read_text()


def test_latencies_that_overlap_have_no_plot(directory, tmp_path):
    """An earlier report's plot is removed."""
    results = make_results()
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    for row in results["rows"]:
        row["costs"]["2"]["milliseconds_at_1"] = 1.5
    plots = draw(tmp_path, results)
    assert set(plots) == {
        f"{metric}_{axis}.svg"
        for metric in ("gap", "map")
        for axis in ("frames", "macs")
    }
    report = (tmp_path / "report.md").read_text()
    assert (
        "There is no plot over milliseconds a video, batch 1: those at 1 and 2 "
        "frames overlap."
    ) in report


def test_columns_are_sorted_by_buttons_in_their_heads(page):
    heads = list(ElementTree.fromstring(page).iter("th"))
    assert len(heads) > 20
    for head in heads:
        assert head.text is None
        if len(head):
            (button,) = head
            assert button.tag == "button"
            assert button.get("type") == "button"
            assert button.text
    script = page[page.index("<script>") :]
    assert '"th button"' in script
    assert 'setAttribute("aria-sort", order)' in script


@pytest.mark.parametrize(
    "name", ["audioset", "joined_hlstm", "joined_nextvlad"]
)
def test_the_documented_reports_are_those_of_their_results(tmp_path, name):
    pytest.importorskip("matplotlib", reason="it comes with the extra study")
    documented = DOCUMENTS / f"study_{name}"
    results = documented / "results.json"
    (tmp_path / "results.json").write_bytes(results.read_bytes())
    rewrite_report(tmp_path)
    files = {path.name for path in documented.iterdir()} | {"report.html"}
    assert {path.name for path in tmp_path.iterdir()} == files
    for file in ("report.md", "results.csv"):
        assert (tmp_path / file).read_bytes() == (
            documented / file
        ).read_bytes()
    for path in tmp_path.glob("*.png"):
        assert path.stat().st_size < 150_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "results.json cannot be read: .* No such file"),
        ("{", "results.json cannot be read: "),
        ('{"rows": []}', "results.json does not hold a study's results"),
    ],
)
def test_a_report_of_no_results_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        rewrite_report(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"results.json"}


def test_the_same_results_give_the_same_files(directory, tmp_path):
    write_report(make_results(), tmp_path)
    for path in directory.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()
