"""The commands of README and docs run as they stand, in order.

Each page runs in a folder of its own, as in a terminal of a user who has run
the README's commands before.
"""

import os
import re
import shutil
import socket
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(ROOT.glob("docs/*.md"))
REAL_DATA = ROOT.parent / "shared" / "data"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = ("bash", "python")
# The blocks that no test runs, by their first lines, which say why.
NOT_RUN = {
    "README.md": ["bash scripts/quickstart.sh   # installs into .venv,"],
    "downloads.md": ["# A hundredth of the training videos, some 14 GB:"],
    "distributed.md": [
        "#!/bin/bash",  # a cluster's
        "# Needs the extra beam, videos and a network:",
        "# Needs Docker:",
    ],
    "reliability.md": ["# Some minutes on 2 cores:"],
    "serving.md": [
        "# Downloads some 100 MB into an environment of its own:",
        "# Needs Docker:",
        "# Needs Docker:",
    ],
}
# Pages whose commands take minutes.
LONG = ("distributed.md", "study.md", "training.md")
# A line of what a page's commands print, as a regular expression.
PRINTED = {
    "README.md": r"^\['\d+', .*\] \[0\.\d+",
    "data.md": r"^\('cat', 'dog'\) ",
    "deployment.md": r"^(\d+) \1$",
    "python.md": r"^VideoPrediction\(",
    "serving.md": r"\"class_names\": ?\[",
    "study.md": r"\d+ trainings, 0 done",
    # Of 32 labels 8 are found by chance, and one frame shows half of them.
    "video_demo.md": r"student +│ +5 │ +\d+ │ +(2\d|3[0-2]) │.*\n"
    r".*teacher +│ all 20 │ +\d+ │ +(2[6-9]|3[0-2]) │",
}
# What the user's shell has beside Bash: the service answers before the next
# command runs, and this environment holds what pip is asked to install.
SHELL = """
set -euo pipefail
trap 'jobs -p | xargs -r kill' EXIT
distill() {
  [ "$1" = serve ] || { command distill "$@"; return; }
  rm -f served
  "$(type -P distill)" "$@" > served &
  until grep -qs ^serving served; do kill -0 $!; sleep 0.1; done
}
pip() {
  [ "$1 $2" = "install -e" ]
  for extra in $(tr -d '.[]' <<< "$3" | tr , ' '); do
    grep -q "^$extra = \\[" pyproject.toml
  done
}
"""


def read_blocks(page):
    """Returns the language and the code of each fenced block."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def make_environment(folder):
    """Makes a `.venv` with this environment's packages and the project."""
    environment = folder / ".venv"
    venv.create(environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    others = sysconfig.get_path("purelib")
    (packages / "project.pth").write_text(
        f"{folder}\nimport site; site.addsitedir({others!r})\n"
    )
    script = environment / "bin" / "distill"
    script.write_text(
        f"#!{environment}/bin/python\n"
        "from distill.cli.main import main\n"
        "if __name__ == '__main__':\n    main()\n"
    )
    script.chmod(0o755)
    for extra in ("base", "demo"):
        stamp = environment / f".installed-{extra}"
        shutil.copy(ROOT / "pyproject.toml", stamp)


def run_page(page, folder, **variables):
    """Runs the commands of a page; returns what they print."""
    script = SHELL
    for number, (language, code) in enumerate(read_blocks(page)):
        if language in RUN:
            script += f"echo block {number}: >&2\n"
        if language == "bash":
            script += code
        if language == "python":
            script += f"python - <<'END_OF_BLOCK'\n{code}END_OF_BLOCK\n"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def needs_free_port(page):
    """Skips a page whose service cannot have its port."""
    with socket.socket() as listener:
        if "distill serve" in page.read_text() and (
            listener.connect_ex(("127.0.0.1", 8501)) == 0
        ):
            pytest.skip("port 8501 is taken")


@pytest.fixture(scope="module")
def readme(tmp_path_factory):
    """Runs the README; returns the folder and what the commands print."""
    page, folder = ROOT / "README.md", tmp_path_factory.mktemp("project")
    needs_free_port(page)
    shutil.copytree(
        ROOT,
        folder,
        symlinks=True,
        ignore=shutil.ignore_patterns(".*", "runs", "tests", "__pycache__"),
        dirs_exist_ok=True,
    )
    make_environment(folder)
    # The quickstart's data, with fewer videos.
    subprocess.run(
        [
            ".venv/bin/distill",
            "make_synthetic_data",
            "--flagfile=quickstart_data.cfg",
            "--num_train_videos=300",
            "--num_validate_videos=100",
        ],
        cwd=folder,
        check=True,
    )
    return folder, run_page(page, folder)


@pytest.fixture(scope="module")
def real_data(tmp_path_factory):
    """Returns a directory with the first records of the real files."""
    if not REAL_DATA.exists():
        pytest.skip(f"{REAL_DATA} is missing")
    folder = tmp_path_factory.mktemp("data")
    for source in sorted((REAL_DATA / "audioset").iterdir()):
        target = folder / "audioset" / source.name
        target.parent.mkdir(exist_ok=True)
        if source.suffix != ".tfrecord":
            shutil.copy(source, target)
            continue
        with open(source, "rb") as file, open(target, "wb") as copy:
            for _ in range(60):
                head = file.read(12)
                length = int.from_bytes(head[:8], "little")
                copy.write(head + file.read(length + 4))
    return folder


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            id=page.name,
            marks=pytest.mark.nightly
            if page.name in LONG
            else pytest.mark.slow,
        )
        for page in PAGES
        if any(block[0] in RUN for block in read_blocks(page))
    ],
)
def test_the_commands_of_a_page_run_in_order(page, readme, request, tmp_path):
    needs_free_port(page)
    variables = {}
    if "$DATA_DIR" in "".join(c for b, c in read_blocks(page) if b in RUN):
        variables["DATA_DIR"] = str(request.getfixturevalue("real_data"))
    folder = tmp_path / "project"
    shutil.copytree(
        readme[0], folder, symlinks=True, ignore=lambda *_: [".venv"]
    )
    (folder / ".venv").symlink_to(readme[0] / ".venv")
    path = f"{folder}/.venv/bin:{os.environ['PATH']}"
    printed = run_page(page, folder, PATH=path, **variables)
    assert re.search(PRINTED.get(page.name, ""), printed, re.MULTILINE)


@pytest.mark.slow
def test_the_commands_of_the_readme_run_in_order(readme):
    folder, printed = readme
    assert (folder / "runs/quickstart/export/card.md").exists()
    assert re.search(PRINTED["README.md"], printed, re.MULTILINE), printed


def test_few_blocks_are_not_run():
    found = {}
    for page in (ROOT / "README.md", *PAGES):
        for language, code in read_blocks(page):
            assert language in (*RUN, "console", "json", "yaml", "")
            if language == "console":
                first = code.splitlines()[0]
                found.setdefault(page.name, []).append(first)
            if not language:
                commands = r"^(distill \w+|bash|pip|python|curl|docker)( |$)"
                assert not re.search(commands, code, re.MULTILINE), code
    assert {page: len(firsts) for page, firsts in found.items()} == {
        page: len(firsts) for page, firsts in NOT_RUN.items()
    }
    for page, firsts in NOT_RUN.items():
        for expected, first in zip(firsts, found[page], strict=True):
            assert first.startswith(expected)
