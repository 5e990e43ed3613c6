"""Command lines and flagfiles, whose errors take one line."""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from distill.cli.config_files import find_file
from distill.cli.verbs import all_flags

FLAGS = flags.FLAGS


def parse_flags(arguments: Sequence[str]) -> list[str]:
    """Sets the flags of a command line, whose first word is the program.

    Returns:
      The program and the words that are no flags.

    Raises:
      ValueError: A flag or its value is wrong; the message names the flag, and
        the file and the line of one in a flagfile.
    """
    try:
        return FLAGS(expand_flagfiles(arguments))
    except flags.UnrecognizedFlagError as error:
        raise ValueError(_describe_unknown(error.flagname)) from error
    except flags.Error as error:
        raise ValueError(" ".join(str(error).split())) from error


def expand_flagfiles(arguments: Sequence[str]) -> list[str]:
    """Returns a command line with the flags of its flagfiles in their places.

    Flags of a flagfile that this verb does not define are left out if another
    verb defines them, so that stages can share a flagfile.

    Raises:
      ValueError: A flagfile does not exist or one of its lines is wrong; the
        message names file and line.
    """
    expanded: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.lstrip("-").partition("=")
        if name == "flagfile" and word.startswith("-"):
            lines = read_flagfile(value if equals else next(words, ""))
            expanded += [line for line in lines if _own_names(line)]
        else:
            expanded.append(word)
    return expanded


def read_flagfile(name: str, readers: tuple[Path, ...] = ()) -> list[str]:
    """Returns the flags of a flagfile and of those that it names.

    Flags of other verbs are among them. The values of this verb's flags are
    checked.

    Args:
      name: The file, or the name of a config.
      readers: The flagfiles that lead to this one.

    Raises:
      ValueError: As `expand_flagfiles`.
    """
    path = find_file(name)
    if path in readers:
        raise ValueError(f"--flagfile={name} leads back to itself.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error}).") from error
    found: list[str] = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith(("#", "//")):
            continue
        try:
            found += _read_line(line, (*readers, path))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return found


def _read_line(line: str, readers: tuple[Path, ...]) -> list[str]:
    """Returns the flags of a line of the last of `readers`."""
    name, equals, value = line.lstrip("-").partition("=")
    if not line.startswith("-"):
        raise ValueError(f"not a flag: {line!r} (flags begin with --).")
    if name == "flagfile":
        return read_flagfile(value, readers)
    positive = name.removeprefix("no")
    if name in FLAGS:
        if equals:
            _check_value(name, value)
        elif not FLAGS[name].boolean:
            raise ValueError(f"--{name} needs a value: --{name}=VALUE.")
    elif positive in FLAGS:
        if equals or not FLAGS[positive].boolean:
            raise ValueError(_describe_unknown(name))
    elif not {name, positive} & all_flags():
        raise ValueError(_describe_unknown(name))
    return [line]


def _own_names(line: str) -> set[str]:
    """Returns this verb's flag that a line of a flagfile sets, if any."""
    name = line.lstrip("-").partition("=")[0]
    return {name, name.removeprefix("no")} & {*FLAGS}


def _check_value(name: str, value: str) -> None:
    try:
        FLAGS[name].parser.parse(value)
    except ValueError as error:
        # absl's own errors have several arguments.
        reason = " ".join(map(str, error.args))
        raise ValueError(f"--{name}={value}: {reason}") from error


def _describe_unknown(name: str) -> str:
    """Returns why a flag is unknown, with the nearest one of the verb."""
    if name in all_flags():
        return (
            f"--{name} is a flag of other verbs; `{sys.argv[0]} --help` lists "
            "the flags of this one."
        )
    near = difflib.get_close_matches(name, [*FLAGS, "flagfile"], n=1)
    hint = (
        f"did you mean --{near[0]}?"
        if near
        else (f"`{sys.argv[0]} --helpfull` lists all.")
    )
    return f"--{name}: no such flag; {hint}"
