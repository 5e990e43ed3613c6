"""The frame of every verb: flags, signals, errors as one clear line."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TextIO

from absl import app, flags, logging

from distill.cli import help_text
from distill.cli.flag_parsing import parse_flags
from distill.cli.settings_flags import Flag, define, exclude_files
from distill.system.atomic_files import replace_atomically
from distill.system.captured_stderr import standard_error_kept_back
from distill.system.signals import Terminated, end_by_signals
from distill.system.storage import storage_reason
from distill.system.write_errors import DISK_FULL_ERRNOS

# The status of a program that SIGPIPE ends.
_OUTPUT_CLOSED = 141


def run(
    main: Callable[..., int | None],
    groups: Sequence[Sequence[Flag]] = (),
    words: bool = False,
) -> None:
    """Defines and parses flags, runs `main` and exits with its status.

    With `--help` or `--helpfull` it prints the summary of `main`'s module and
    the flags instead.

    A ValueError or OSError is printed as one line and exits with status 1;
    with `--verbosity=1` its trace is shown. Ctrl-C exits with status 130,
    SIGTERM with 143, a closed terminal with 129; where nobody reads the output
    any more (`| head`) the status is 141.

    Args:
      main: Takes no arguments or, with `words`, the arguments beside flags.
      groups: The flags of the verb.
      words: Whether arguments beside flags are allowed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    before = set(flags.FLAGS)
    define(groups)
    # `--helpxml` shows key flags; a tool has defined its own before.
    own = flags.FLAGS.flags_by_module_dict().get(sys.argv[0], [])
    for name in {*set(flags.FLAGS) - before, *(flag.name for flag in own)}:
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])

    def run_main(arguments: list[str]) -> None:
        status = main(*arguments[1:])
        sys.stdout.flush()
        sys.exit(status)

    def parse(arguments: list[str]) -> list[str]:
        asked = {*help_text.SHORT, *help_text.FULL} & {*arguments[1:]}
        rest = parse_flags([word for word in arguments if word not in asked])
        if asked:
            _print_help(main, groups, not asked.isdisjoint(help_text.FULL))
        if len(rest) > 1 and not words:
            raise ValueError(f"Not a flag: {rest[1]!r} (flags begin with --).")
        exclude_files()
        _warn_of_memory(arguments)
        return rest

    end_by_signals()
    try:
        with _clear_endings():
            app.run(run_main, flags_parser=parse)
    finally:
        _drop_output(sys.stdout)
        _drop_output(sys.stderr)


def _warn_of_memory(arguments: Sequence[str]) -> None:
    """Says that `ram://` does not outlive the process."""
    for word in arguments:
        if "ram://" in word:
            print(
                f"WARNING: {word}: ram:// is the memory of this process; what "
                "is written there is gone at its end.",
                file=sys.stderr,
            )


def _print_help(
    main: Callable[..., int | None],
    groups: Sequence[Sequence[Flag]],
    full: bool,
) -> NoReturn:
    summary = sys.modules[main.__module__].__doc__ or ""
    specs = [spec for group in groups for spec in group]
    sizes = help_text.model_sizes()
    print(help_text.help_text(sys.argv[0], summary, specs, sizes, full))
    sys.stdout.flush()
    sys.exit(0)


@contextlib.contextmanager
def _clear_endings() -> Iterator[None]:
    """Turns errors and signals into a line and an exit status."""
    try:
        yield
    except BrokenPipeError:
        sys.exit(_OUTPUT_CLOSED)
    except (ValueError, OSError) as error:
        if logging.get_verbosity() >= logging.DEBUG:
            raise
        _exit(f"ERROR: {_describe(error)}", 1)
    except Exception as error:
        # Libraries of cloud storage have errors of their own.
        reason = storage_reason(error)
        if reason is None or logging.get_verbosity() >= logging.DEBUG:
            raise
        _exit(f"ERROR: cloud storage: {reason}.", 1)
    except KeyboardInterrupt:
        _exit("Interrupted.", 130)
    except Terminated as error:
        _exit("Terminated.", 128 + error.number)
    except SystemExit as error:
        # rich raises SystemExit for a closed pipe.
        if isinstance(error.__context__, BrokenPipeError):
            sys.exit(_OUTPUT_CLOSED)
        raise


def _describe(error: Exception) -> str:
    """Returns an error's text; an error without a file is of the output."""
    if not isinstance(error, OSError) or error.filename is not None:
        return str(error)
    if isinstance(error, FileNotFoundError) and error.errno is None:
        # Libraries of cloud storage give the name alone.
        return f"There is no {error}."
    if error.errno not in DISK_FULL_ERRNOS:
        return str(error)
    return f"standard output cannot be written: {error.strerror}."


def _exit(line: str, status: int) -> None:
    with contextlib.suppress(OSError):
        # Libraries and file names may bring lines of their own.
        print(re.sub(r"\s*\n\s*", " ", line), file=sys.stderr)
    sys.exit(status)


def _drop_output(stream: TextIO) -> None:
    """Drops output that cannot be written, lest the exit raises again."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def write_flags(result: str) -> None:
    """Writes the given flags beside a result, as `RESULT.flags`.

    The file is a flagfile: `--flagfile=RESULT.flags` makes the result again.
    """
    given = [
        flag.serialize()
        for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])
        if flag.present
    ]
    with replace_atomically(f"{result}.flags") as temporary:
        temporary.write_text("".join(f"{line}\n" for line in sorted(given)))


def start_tensorflow(
    gpu: int | None, strategy: str = "single", deterministic: bool = False
) -> Any:
    """Imports TensorFlow; returns the `Workers` of `choose_devices`.

    The messages of TensorFlow's C++ code are shown with `--verbosity=1`, or
    after an error, alone.

    Raises:
      ValueError: TensorFlow is not installed.
    """
    from distill.reporting.console import spinner

    shows_all = logging.get_verbosity() >= logging.DEBUG
    nothing = contextlib.nullcontext()
    with (
        spinner("TensorFlow starts"),
        nothing if shows_all else standard_error_kept_back(),
    ):
        try:
            from distill.distributed.devices import choose_devices
        except ModuleNotFoundError as error:
            # requirements-serve.txt leaves TensorFlow and Keras out.
            raise ValueError(
                f"{error.name} is not installed: `pip install -e .` installs "
                "what this needs."
            ) from error

        return choose_devices(gpu, strategy, deterministic)
