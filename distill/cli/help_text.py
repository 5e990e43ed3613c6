"""Help texts: the flags of a verb under headings, a short row each."""

import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from distill.cli.flag_groups import HEADINGS, STUDENT_PREFIX
from distill.cli.settings_flags import Flag, flag_value
from distill.models import registry
from distill.models.presets import PRESETS

# Words that ask for a help text.
SHORT = ("--help", "-help", "-h", "-?", "--helpshort")
FULL = ("--helpfull", "-helpfull")
_MOST_COLUMNS = 100
_TEXT_COLUMN = 38
_CLASSIFIER = "video_level_classifier_model"


def help_text(
    program: str,
    summary: str,
    flags: Sequence[Flag],
    sizes: Mapping[str, tuple[Any, Any]],
    full: bool = False,
) -> str:
    """Returns the help of a verb.

    Args:
      program: The command, such as `distill train`.
      summary: Its description, which comes first.
      flags: The flags that the verb defines.
      sizes: Defaults of each size of the chosen models, those of the presets
        small and paper, by flag name; these flags are shown though they are
        rare.
      full: Whether rare flags and whole help texts are shown.
    """
    lines = [f"Usage: {program} [--FLAG=VALUE ...]", "", summary.strip()]
    for heading in HEADINGS:
        rows = [
            _flag_row(flag, sizes, full)
            for flag in flags
            if flag.heading == heading
            and (full or not flag.rare or flag.name in sizes)
        ]
        if rows:
            lines += ["", heading, *rows]
    lines += [
        "",
        "Everywhere",
        row("--flagfile=FILE", "Read flags from a file or a config."),
        row("--verbosity=1", "Show traces and TensorFlow's messages."),
    ]
    if not full:
        lines.append(row("--helpfull", "Show all flags and their whole texts."))
        if any(flag.name == "model" for flag in flags):
            lines.append(row("--model=NAME --help", "Add the model's sizes."))
    return "\n".join(lines)


def row(left: str, text: str, column: int = _TEXT_COLUMN) -> str:
    """Returns a name and its text in two columns, folded to the terminal."""
    columns = shutil.get_terminal_size((_MOST_COLUMNS, 0)).columns
    return textwrap.fill(
        text,
        max(min(columns, _MOST_COLUMNS), column + 20),
        initial_indent=f"  {left:{column - 4}}  ",
        subsequent_indent=" " * column,
        break_long_words=False,
        break_on_hyphens=False,
    )


def model_sizes() -> dict[str, tuple[Any, Any]]:
    """Returns the sizes of the models that the parsed flags choose.

    Returns:
      The defaults of each size of `--model`, and of `--student_model` with
      the student's prefix, by flag name: those of the presets small and paper.

    Raises:
      ValueError: There is no such model.
    """
    sizes: dict[str, tuple[Any, Any]] = {}
    for prefix in ("", STUDENT_PREFIX):
        model = flag_value(f"{prefix}model")
        if model is not None:
            classifier = flag_value(prefix + _CLASSIFIER)
            given = {} if classifier is None else {_CLASSIFIER: classifier}
            small, paper = (
                registry.resolve_arguments(model, given, preset)
                for preset in PRESETS
            )
            sizes |= {prefix + n: (small[n], paper[n]) for n in sorted(small)}
    return sizes


def _flag_row(
    flag: Flag, sizes: Mapping[str, tuple[Any, Any]], full: bool
) -> str:
    default, paper = sizes.get(flag.name, (flag.default, flag.paper))
    text = flag.help
    if not full:
        text = re.split(r"(?<=\.)\s", text, maxsplit=1)[0]
    if paper not in (None, default):
        text += f" Paper: {_write_value(paper)}."
    left = f"--{flag.name}"
    if default not in (None, "", ()):
        left += f"={_write_value(default)}"
    return row(left, text)


def _write_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
