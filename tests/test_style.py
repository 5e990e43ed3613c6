"""The house style, as far as a program can tell."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("models", "distill", "tools", "examples")
PYTHON_FILES = sorted(
    str(path.relative_to(ROOT))
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if "distill/models" not in str(path)
)
STAGE_SCRIPTS = sorted(path.name for path in ROOT.glob("run_*.sh"))
MOST_LINES_A_FUNCTION = 60
MOST_LINES_A_STAGE = 30


def run_python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff_finds_nothing(command):
    pytest.importorskip("ruff", reason="ruff comes with the extra dev")
    result = run_python("-m", "ruff", *command, ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_type_checker_finds_nothing():
    pytest.importorskip("mypy", reason="mypy comes with the extra dev")
    result = run_python("-m", "mypy")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", PYTHON_FILES)
def test_a_function_has_60_lines_at_most(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = [
        node.name
        for node in functions
        if node.end_lineno - node.lineno + 1 > MOST_LINES_A_FUNCTION
    ]
    assert not long


def test_the_five_stages_are_there():
    stages = ("train", "validate", "convert_model", "finetune", "evaluate")
    assert {f"run_{stage}.sh" for stage in stages} <= set(STAGE_SCRIPTS)


@pytest.mark.parametrize("name", STAGE_SCRIPTS)
def test_a_stage_script_is_short_and_stops_at_the_first_error(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES_A_STAGE
    assert "set -euo pipefail" in lines


def test_importing_the_flags_registers_none_and_imports_no_tensorflow():
    program = (
        "import sys\n"
        "from absl import flags\n"
        "before = set(flags.FLAGS)\n"
        "import distill.cli.flag_groups, distill.cli.experiment\n"
        "print(sorted(set(flags.FLAGS) - before))\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    result = run_python("-c", program)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["[]", "[]"]


@pytest.mark.parametrize("script", ["train", "evaluate", "convert"])
def test_help_shows_the_script_s_flags_without_importing_tensorflow(script):
    result = run_python("-X", "importtime", "-m", "distill", script, "--help")
    assert "--train_dir" in result.stdout
    imported = {
        line.rsplit("|", 1)[-1].strip()
        for line in result.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "absl.flags" in imported
    assert not {"tensorflow", "keras", "numpy"} & imported


# Calls that take a time limit as their last argument.
WAITS = {"acquire", "communicate", "join", "result", "settimeout", "wait"}
WAITS |= {"timeout", "wait_for"}
CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "process_time"}


def find_time_limits(tree):
    """Yields the lines of time limits in numbers and of measured times."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        limits = [k.value for k in node.keywords if k.arg == "timeout"]
        if name in WAITS:
            limits += node.args[-1:]
        numbers = [
            each.value
            for each in limits
            if isinstance(each, ast.Constant)
            and isinstance(each.value, int | float)
        ]
        if name in CLOCKS or any(numbers):
            yield node.lineno


def test_time_limits_are_found():
    source = """
thread.join(20)
path.join("a")
process.communicate(timeout=HANG_SECONDS)
urlopen(request, timeout=1.5)
start = time.monotonic()
lock.acquire(True, timeout=3)
"""
    assert list(find_time_limits(ast.parse(source))) == [2, 5, 6, 7]


def test_the_tests_have_one_time_limit():
    """HANG_SECONDS of tests/hang_guard.py; nothing passes or fails by speed."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name != "hang_guard.py" and (
            lines := list(find_time_limits(tree))
        ):
            found[path.name] = lines
    assert not found
