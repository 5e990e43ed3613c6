"""How every entry point runs: flags, device, errors as one clear line."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

from absl import app, flags, logging

from distill.atomic_files import replace_atomically


def run(main: Callable[..., int | None], words: bool = False) -> None:
    """Parses the flags, runs `main` and exits with its status.

    `main` takes no arguments or, with `words`, what is given beside flags.

    A ValueError or OSError is printed as one line and exits with status 1;
    with `--verbosity=1` its trace is shown. Ctrl-C exits with status 130.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # `--help` shows the flags of the script itself: these are among them.
    for module, defined in flags.FLAGS.flags_by_module_dict().items():
        if module.startswith("scripts."):
            for flag in defined:
                flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)

    def run_main(arguments: list[str]) -> None:
        if len(arguments) > 1 and not words:
            raise app.UsageError(
                f"Not a flag: {arguments[1]!r} (flags begin with --)."
            )
        try:
            sys.exit(main(*arguments[1:]))
        except (ValueError, OSError) as error:
            if logging.get_verbosity() >= logging.DEBUG:
                raise
            print(f"ERROR: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            sys.exit(130)

    app.run(run_main)


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


def start_tensorflow(gpu: int | None) -> None:
    """Imports TensorFlow and chooses the device.

    What TensorFlow's C++ code says of itself at its start is kept back; with
    `--verbosity=1`, or after an error, it is shown.

    Args:
      gpu: Index of the GPU; -1 for the CPU; None for what there is.

    Raises:
      ValueError: There is no such GPU.
    """
    with _standard_error_kept_back():
        from distill.devices import choose_device

        choose_device(gpu)


@contextlib.contextmanager
def _standard_error_kept_back() -> Iterator[None]:
    """Shows what is written to standard error only if the body raises."""
    if logging.get_verbosity() >= logging.DEBUG:
        yield
        return
    with tempfile.TemporaryFile() as kept, os.fdopen(os.dup(2), "wb") as shown:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            shown.write(kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown.fileno(), 2)
