"""Lists the configs that come with the package; with a NAME prints that one."""

from distill.cli.config_files import CONFIGS, config_names, find_config
from distill.cli.help_text import row

FLAG_GROUPS = ()
TAKES_WORDS = True


def main(*names: str) -> None:
    """Prints each config with the first line of its head comment, or one."""
    if len(names) > 1:
        raise ValueError(f"Give the name of one config, got {len(names)}.")
    if names:
        print(find_config(names[0]).read_text(encoding="utf-8"), end="")
        return
    for name in config_names():
        first = (CONFIGS / name).read_text(encoding="utf-8").splitlines()[0]
        print(row(name, first.removeprefix("# ")))
    print("\n`distill VERB --flagfile=NAME` reads one from any directory.")
