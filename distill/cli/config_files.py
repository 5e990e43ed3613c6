"""The configs that come with the package: flagfiles and rows of studies."""

import difflib
from pathlib import Path

from distill.system.storage import to_path

# In a checkout a link to the folder `configs` at the top.
CONFIGS = (Path(__file__).parents[1] / "configs").resolve()


def config_names() -> list[str]:
    """Returns the names of the flagfiles, such as `quickstart.cfg`."""
    files = CONFIGS.rglob("*.cfg")
    return sorted(file.relative_to(CONFIGS).as_posix() for file in files)


def find_config(name: str) -> Path:
    """Returns the file of a config of the package.

    Args:
      name: Its path in the folder `configs`, or in the repository.

    Raises:
      ValueError: There is no such config; the message names the nearest.
    """
    name = name.removeprefix("configs/")
    path = CONFIGS / name
    if path.is_file():
        return path
    near = difflib.get_close_matches(name, config_names(), n=1)
    hint = f"Did you mean {near[0]}?" if near else "See `distill configs`."
    raise ValueError(f"There is no config {name!r}. {hint}")


def find_file(name: str) -> Path:
    """Returns a file of the user's, or else the config of that name.

    Raises:
      ValueError: There is neither.
    """
    path = to_path(name).expanduser()
    if path.exists() and not path.is_dir():
        return path
    try:
        return find_config(name)
    except ValueError as error:
        raise ValueError(f"There is no file {name!r}. {error}") from None
