"""How every entry point runs: flags, device, errors as one clear line."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from absl import app, flags, logging

from distill.system.atomic_files import replace_atomically
from distill.system.captured_stderr import standard_error_kept_back
from distill.system.signals import Terminated, end_by_signals

# Of a process that SIGPIPE ends, as it ends other programs.
_OUTPUT_CLOSED = 141


def run(main: Callable[..., int | None], words: bool = False) -> None:
    """Parses the flags, runs `main` and exits with its status.

    `main` takes no arguments or, with `words`, what is given beside flags.

    A ValueError or OSError is printed as one line and exits with status 1;
    with `--verbosity=1` its trace is shown. Ctrl-C exits with status 130,
    SIGTERM with 143, a closed terminal with 129; where nobody reads the output
    any more (`| head`) the status is 141.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # `--help` shows the flags of the script itself: these are among them.
    for module, defined in flags.FLAGS.flags_by_module_dict().items():
        if module.startswith("distill.cli."):
            for flag in defined:
                flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)

    def run_main(arguments: list[str]) -> None:
        if len(arguments) > 1 and not words:
            raise app.UsageError(
                f"Not a flag: {arguments[1]!r} (flags begin with --)."
            )
        status = main(*arguments[1:])
        sys.stdout.flush()
        sys.exit(status)

    end_by_signals()
    try:
        with _clear_endings():
            app.run(run_main)
    finally:
        _drop_output(sys.stdout)
        _drop_output(sys.stderr)


@contextlib.contextmanager
def _clear_endings() -> Iterator[None]:
    """Exits with a line and a status for what may end a program."""
    try:
        yield
    except BrokenPipeError:
        sys.exit(_OUTPUT_CLOSED)
    except (ValueError, OSError) as error:
        if logging.get_verbosity() >= logging.DEBUG:
            raise
        _exit(f"ERROR: {_describe(error)}", 1)
    except KeyboardInterrupt:
        _exit("Interrupted.", 130)
    except Terminated as error:
        _exit("Terminated.", 128 + error.number)
    except SystemExit as error:
        # What rich makes of a closed pipe.
        if isinstance(error.__context__, BrokenPipeError):
            sys.exit(_OUTPUT_CLOSED)
        raise


def _describe(error: Exception) -> str:
    """Returns what went wrong; what is written without a name is the output."""
    unnamed = isinstance(error, OSError) and error.filename is None
    if unnamed and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"standard output cannot be written: {error.strerror}."
    return str(error)


def _exit(line: str, status: int) -> None:
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)
    sys.exit(status)


def _drop_output(stream: TextIO) -> None:
    """Lets what cannot be written be lost, not raise once more at the exit."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def write_flags(result: str) -> None:
    """Leaves the flags that were given beside a result, as `RESULT.flags`.

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
    """Imports TensorFlow and chooses the devices.

    What TensorFlow's C++ code says of itself at its start is kept back; with
    `--verbosity=1`, or after an error, it is shown.

    Args:
      gpu: Index of the GPU; -1 for the CPU; None for what there is.
      strategy: Which devices and machines compute together.
      deterministic: Whether every operation gives the same bits again.

    Returns:
      `Workers`: this process among those that share the work.

    Raises:
      ValueError: There is no such GPU, or the strategy is wrong.
    """
    shows_all = logging.get_verbosity() >= logging.DEBUG
    nothing = contextlib.nullcontext()
    with nothing if shows_all else standard_error_kept_back():
        from distill.distributed.devices import choose_devices

        return choose_devices(gpu, strategy, deterministic)
