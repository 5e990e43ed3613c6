"""The tool's verbs: predict (without a name), train, evaluate and score."""

import importlib
import os
import sys

from distill.cli.entry_point import run
from distill.models.argument_checks import check_choice

VERBS = ("predict", "train", "evaluate", "score")


def main() -> None:
    """Runs the verb that the command line names."""
    verb, arguments = VERBS[0], sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        verb, *arguments = arguments
    try:
        check_choice("verb", verb, VERBS)
    except ValueError as error:
        sys.exit(f"ERROR: {error}")
    module = importlib.import_module(f"tools.backends.{verb}")
    # The variable chooses a backend to compare. This process itself reads
    # records and checkpoints, with TensorFlow; `score` reads neither.
    if verb != "score" and (asked := os.environ.pop("KERAS_BACKEND", "")):
        arguments.insert(0, f"--backends={asked}")
    sys.argv = [f"python -m tools.backends {verb}", *arguments]
    run(module.main, module.FLAG_GROUPS)


if __name__ == "__main__":
    main()
