"""Attacks the toolkit and checks that nothing is lost or executed.

Exits with status 1 if an attack finds a fault.
"""

import dataclasses
import importlib
import random
import sys
import tempfile
from pathlib import Path

from absl import flags

from distill.cli.entry_point import run, start_tensorflow
from distill.cli.settings_flags import specs
from distill.models.argument_checks import check_choice
from distill.models.options import option
from distill.system.storage import local_path
from tools.attacks.attempt import TITLES, Attack, Attempt, summarize

FLAGS = flags.FLAGS

# Each module has a function `attack`.
ATTACKS = ("artifacts", "calls", "clients", "files", "videos", "workers")


@dataclasses.dataclass(frozen=True)
class AttackSettings:
    """Settings of the attacks."""

    num_tries: int = option(100, "Attempts of each attack.", minimum=1)
    seed: int = option(0, "Seed of the attacks.")
    attacks: tuple[str, ...] | None = option(
        None, f"Attacks: {', '.join(ATTACKS)}. Default: all."
    )
    work_dir: str | None = option(
        None, "Directory of the attacks. Default: a temporary one."
    )
    report: str | None = option(None, "Markdown file for the attempts.")


def main() -> int:
    """Makes the attacks; returns 1 if any found a fault."""
    names = ATTACKS if FLAGS.attacks is None else tuple(FLAGS.attacks)
    for name in names:
        check_choice("attacks", name, ATTACKS)
    start_tensorflow(gpu=-1)
    if FLAGS.work_dir is not None:
        return _run(local_path("work_dir", FLAGS.work_dir), names)
    with tempfile.TemporaryDirectory(prefix="distill-attacks-") as directory:
        return _run(Path(directory), names)


def _run(work_dir: Path, names: tuple[str, ...]) -> int:
    from distill.reporting.console import print_table
    from distill.system.atomic_files import replace_atomically

    rows, lines = [], []
    for name in names:
        module = importlib.import_module(f"tools.attacks.{name}")
        attempts = _attack(module.attack, work_dir / name)
        rows += summarize(name, attempts)
        lines += [f"{name} | {attempt}" for attempt in attempts]
    print_table(TITLES, rows, left=(0, 1))
    if FLAGS.report is not None:
        command = " ".join(["python -m tools.attacks", *sys.argv[1:]])
        table = [TITLES, ["---"] * len(TITLES), *rows]
        text = [f"`{command}`", ""]
        text += [f"| {' | '.join(cells)} |" for cells in table]
        with replace_atomically(FLAGS.report) as temporary:
            temporary.write_text("\n".join([*text, "", *lines, ""]))
    return int(any(row[-1] != "0" for row in rows))


def _attack(attack: Attack, folder: Path) -> list[Attempt]:
    """Makes one attack and prints its attempts."""
    folder.mkdir(parents=True, exist_ok=True)
    attempts = []
    for attempt in attack(folder, FLAGS.num_tries, random.Random(FLAGS.seed)):
        attempts.append(attempt)
        print(f"{len(attempts):4d} {attempt}", flush=True)
    return attempts


if __name__ == "__main__":
    run(main, [specs(AttackSettings)])
