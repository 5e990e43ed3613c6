"""Files that would be replaced, looked at before anything is written."""

from collections.abc import Callable, Iterable
from pathlib import Path


def local_directory(output_dir: str | Path) -> Path:
    """Returns where files are to go.

    Raises:
      ValueError: It is not a directory of this machine.
    """
    if "://" in str(output_dir):
        raise ValueError(
            f"output_dir must be a local directory, got {output_dir!r}."
        )
    return Path(output_dir)


def check_replaced(
    paths: Iterable[Path],
    inputs: Iterable[str],
    is_known: Callable[[Path], bool],
    description: Path,
    instead: str,
) -> None:
    """Checks that files may be replaced.

    Args:
      paths: The files that are there.
      inputs: The files that are read.
      is_known: Whether the description says what a file is made of.
      description: The file that would say so.
      instead: What to give another value for.

    Raises:
      ValueError: One is an input, or of unknown origin.
    """
    local = (Path(file.removeprefix("file://")) for file in inputs)
    read = {path.resolve() for path in local}
    for path in paths:
        if path.resolve() in read:
            reason = "it is one of the inputs"
        elif not is_known(path):
            reason = f"no {description.name} says what it is made of"
        else:
            continue
        raise ValueError(
            f"{path} would be replaced, but {reason}: give another {instead}."
        )
