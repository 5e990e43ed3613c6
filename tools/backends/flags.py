"""The flag of the backends that every verb has."""

from distill.cli.settings_flags import FLAGS, Flag
from tools.backends.process import check_backends, installed_backends

BACKENDS = [
    Flag(
        "backends",
        "Backends to run, comma-separated. The first is the reference. "
        "Default: that of the variable KERAS_BACKEND, or all installed ones.",
        tuple[str, ...],
        heading="Run",
    )
]

ARRAYS_DIR = Flag(
    "arrays_dir",
    "Folder for the model and its videos as arrays, which `score` reads.",
)


def chosen_backends() -> tuple[str, ...]:
    """Returns the backends of the flag, or else all installed ones.

    Raises:
      ValueError: One is unknown or not installed.
    """
    asked = FLAGS.backends
    chosen = installed_backends() if asked is None else asked
    check_backends(chosen)
    return tuple(dict.fromkeys(chosen))
