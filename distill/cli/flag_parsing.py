"""Command lines and flagfiles, whose errors take one line."""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from distill.cli.config_files import find_file
from distill.cli.reference_flags import RENAMED, translate
from distill.cli.verbs import all_flags

FLAGS = flags.FLAGS
_LEAST_SIMILARITY = 0.6
_ON_COMMAND_LINE: set[str] = set()


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
    verb defines them, so that stages can share a flagfile. Flags of the
    reference systems get our names.

    Raises:
      ValueError: A flagfile does not exist or one of its lines is wrong; the
        message names file and line.
    """
    expanded: list[str] = []
    for word in filter(None, map(translate, _join_values(arguments))):
        name, _, value = word.lstrip("-").partition("=")
        if name == "flagfile" and word.startswith("-"):
            lines = read_flagfile(value)
            expanded += [line for line in lines if _own_names(line)]
        else:
            expanded.append(word)
            if word.startswith("-"):
                _ON_COMMAND_LINE.update({name, name.removeprefix("no")})
    return expanded


def _join_values(arguments: Sequence[str]) -> list[str]:
    """Returns a command line with `--flag value` as `--flag=value`.

    For `--flag true` and `--flag False` too, which the references accept.
    """
    joined: list[str] = []
    for word in arguments:
        flag = joined[-1] if joined else ""
        if flag.startswith("-") and "=" not in flag and _is_value(flag, word):
            joined[-1] = f"{flag}={word}"
        else:
            joined.append(word)
    return joined


def _is_value(flag: str, word: str) -> bool:
    name = flag.lstrip("-")
    positive = name if name in FLAGS else name.removeprefix("no")
    is_boolean = positive in FLAGS and FLAGS[positive].boolean
    if word.startswith("-"):
        return False
    return not is_boolean or word.lower() in ("true", "false")


def stands_on_command_line(name: str) -> bool:
    """Whether a flag was given, and not by a flagfile alone."""
    return name in _ON_COMMAND_LINE


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
    if not line.startswith("-"):
        raise ValueError(f"not a flag: {line!r} (flags begin with --).")
    translated = translate(line)
    if translated is None:
        return []
    line = translated
    name, equals, value = line.lstrip("-").partition("=")
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

    def similarity(flag: str) -> float:
        return difflib.SequenceMatcher(None, flag, name).ratio()

    # Of equally near flags the one that the help names first.
    renamed = [theirs for theirs, ours in RENAMED.items() if ours in FLAGS]
    nearest = max([*FLAGS, "flagfile", *renamed], key=similarity)
    hint = (
        f"did you mean --{nearest}?"
        if similarity(nearest) >= _LEAST_SIMILARITY
        else (f"`{sys.argv[0]} --helpfull` lists all.")
    )
    return f"--{name}: no such flag; {hint}"
