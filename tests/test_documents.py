"""The commands, files and links that the documents name exist."""

import itertools
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from distill.cli.config_files import find_file
from distill.cli.reference_flags import RENAMED, WITHOUT_COUNTERPART
from distill.cli.verbs import VERBS, flags_of

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("configs/**/*.cfg"),
    *ROOT.glob("scripts/*.sh"),
]
STAGES = {
    "run_train.sh": "train",
    "run_validate.sh": "evaluate",
    "run_convert_model.sh": "convert",
    "run_finetune.sh": "finetune",
    "run_evaluate.sh": "evaluate",
}
# Every command has them.
COMMON_FLAGS = {"flagfile", "help", "helpfull", "verbosity"}
TOOLS = sorted(path.parent.name for path in ROOT.glob("tools/*/__main__.py"))


def read_text(path):
    """Returns a document with its folded lines and comments joined."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\\\n[#\s]*", " ", text)
    # A code span may be wrapped.
    return re.sub(r"`[^`\n]+\n[^`\n]+`", lambda m: " ".join(m[0].split()), text)


def find_commands(path):
    """Yields the verb and the names of the flags of each command."""
    command = re.compile(
        r"(?:(?:python -m |bin/|`|^ *|exec |do )distill"
        r"|bash (?:scripts/)?(run_\w+\.sh)|(run_\w+\.sh)) +([^`\n]*)",
        re.MULTILINE,
    )
    for stage, other_stage, words in command.findall(read_text(path)):
        script = stage or other_stage
        verb = STAGES.get(script) if script else words.split()[0].rstrip(",")
        # The scripts that run several stages share the flags of all.
        if verb and verb in VERBS:
            yield verb, re.findall(r"--(\w+)", words)
        elif not script:
            assert not verb[0].islower(), f"{path.name} has the verb {verb!r}"


@pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_commands_have_the_flags_of_their_verb(path):
    for verb, names in find_commands(path):
        known = flags_of(verb) | COMMON_FLAGS | {*WITHOUT_COUNTERPART}
        known |= {name for name, ours in RENAMED.items() if ours in known}
        unknown = [n for n in names if not {n, n.removeprefix("no")} & known]
        assert not unknown or verb == "launch_workers", f"{verb}: {unknown}"


@pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_files_of_commands_exist(path):
    text = read_text(path)
    for name in re.findall(r"\bbash ((?:scripts/)?\w+\.sh)\b", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"--flagfile=([\w/.]+\.cfg)\b", text):
        assert name.startswith("runs/") or find_file(name), name


def test_commands_have_one_prefix():
    for path in (path for path in DOCUMENTS if path.suffix != ".sh"):
        named = len(re.findall(r"-m distill\b|bin/distill\b", read_text(path)))
        # They name it where no environment is active.
        others = {"command_line.md": 2, "serving.md": 2, "CHANGELOG.md": 2}
        assert named == others.get(path.name, 0), path


def test_the_documents_commands_are_found():
    commands = itertools.chain.from_iterable(map(find_commands, DOCUMENTS))
    verbs = {verb for verb, _ in commands}
    assert {"train", "convert", "infer", "export", "study"} <= verbs


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_prose_wraps_at_100_characters(path):
    text = path.read_text(encoding="utf-8")
    prose = "".join(text.split("```")[::2]).splitlines()
    longest = [line for line in prose if line[:1] != "|" and len(line) > 100]
    assert not longest


def test_the_site_is_built_without_warnings(tmp_path):
    site = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", f"--site-dir={site}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    api = (site / "api" / "index.html").read_text(encoding="utf-8")
    assert "distill.predictor.Predictor.predict" in api


@pytest.mark.parametrize(
    "path", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda p: p.name
)
def test_links_files_and_tools_exist(path):
    # tests/test_contributing.py follows the recipe for a model.
    recipe = r"## To add a model\n.*?(?=\n## )"
    text = re.sub(recipe, "", read_text(path), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]*)?\)", text):
        assert (path.parent / target).exists(), target
    named = re.findall(
        r"`((?:configs|distill|docs|models|scripts|tests|tools)/[\w./]+)`", text
    )
    for name in named:
        assert list(ROOT.glob(f"{name}*")) or "NAME" in name, name
    for name in re.findall(r"`(distill\.\w+\.[\w.]+)", text):
        assert pkgutil.resolve_name(name), name
    for tool in re.findall(r"\btools\.(\w+)`?", text):
        assert tool in TOOLS, tool
