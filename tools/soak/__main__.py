"""The soak tests: serve and train."""

import importlib
import sys

from distill.cli.entry_point import run
from distill.models.argument_checks import check_choice

# Each module has `main` and `FLAG_GROUPS`.
VERBS = ("serve", "train")


def main() -> None:
    """Runs the soak test that the command line names."""
    verb, *arguments = sys.argv[1:] or [""]
    try:
        check_choice("verb", verb, VERBS)
    except ValueError as error:
        sys.exit(f"ERROR: {error}")
    module = importlib.import_module(f"tools.soak.{verb}")
    sys.argv = [f"python -m tools.soak {verb}", *arguments]
    run(module.main, module.FLAG_GROUPS)


if __name__ == "__main__":
    main()
