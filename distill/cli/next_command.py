"""The command that follows a verb, to be copied from the terminal."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from distill.cli.config_files import find_file
from distill.cli.flag_parsing import read_flagfile
from distill.cli.settings_flags import FLAGS
from distill.cli.verbs import flags_of


def next_command(
    verb: str,
    changes: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> str:
    """Returns a complete command of another verb with the flags of this one.

    Flagfiles, and flags that the verb has, are passed on as they were given. A
    flagfile `NAME.cfg` is replaced by `NAME_VERB.cfg` where that exists.

    Args:
      verb: The verb to run next.
      changes: Flags that replace given ones.
      defaults: Flags that are added where no value was given.
    """
    changes, words, known = changes or {}, [], set()
    accepted = flags_of(verb) - set(changes)
    for word in _join_values(sys.argv[1:]):
        name, separator, value = word.lstrip("-").partition("=")
        if name == "flagfile":
            flagfile = _flagfile_of(verb, value)
            words.append(f"--flagfile={flagfile}")
            for line in read_flagfile(flagfile):
                flag, _, stated = line.lstrip("-").partition("=")
                known |= {flag} if stated else set()
        # An empty value takes back that of a flagfile, for one stage alone.
        elif {name, name.removeprefix("no")} & accepted and (
            value or not separator
        ):
            words.append(word)
            known.add(name)
    missing = {n: v for n, v in (defaults or {}).items() if n not in known}
    return command(verb, {**changes, **missing}, words)


def command(
    verb: str, flags: Mapping[str, str], words: Sequence[str] = ()
) -> str:
    """Returns a command of `distill` with words before flags."""
    named = [f"--{name}={value}" for name, value in flags.items()]
    return shlex.join([*_program(), verb, *words, *named])


def _program() -> list[str]:
    """Returns `distill`, with its path where the shell does not find it."""
    script = Path(sys.executable).with_name("distill")
    found = shutil.which("distill")
    if found is not None and os.path.abspath(found) == str(script):
        return ["distill"]
    if not script.exists():
        return [sys.executable, "-m", "distill"]
    inside = script.is_relative_to(Path.cwd())
    return [str(script.relative_to(Path.cwd()) if inside else script)]


def _flagfile_of(verb: str, name: str) -> str:
    """Returns the verb's own flagfile `NAME_VERB.cfg`, or `NAME.cfg`."""
    own = name.removesuffix(".cfg") + f"_{verb}.cfg"
    try:
        find_file(own)
    except ValueError:
        return name
    return own


def _join_values(words: Sequence[str]) -> Iterator[str]:
    """Yields `--name=value` for `--name value` too."""
    rest = iter(words)
    for word in rest:
        name = word.lstrip("-")
        if "=" not in name and not _is_switch(name):
            word = f"{word}={next(rest, '')}"
        yield word


def _is_switch(name: str) -> bool:
    names = (name, name.removeprefix("no"))
    return any(n in FLAGS and FLAGS[n].boolean for n in names)
