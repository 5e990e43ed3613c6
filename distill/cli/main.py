"""The command `distill`: finds a verb's module and runs it."""

import difflib
import sys

from distill.cli import entry_point
from distill.cli.verbs import VERBS, load_verb


def main() -> None:
    """Runs the verb that the command line names."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print("Usage: python -m distill VERB [FLAG ...]\n\nVerbs:")
        for verb, text in VERBS.items():
            print(f"  {verb:20} {text}")
        sys.exit(0)
    verb = arguments[0]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        print(
            f"ERROR: there is no verb {verb!r}.{hint} "
            "`python -m distill` lists them.",
            file=sys.stderr,
        )
        sys.exit(1)
    module = load_verb(verb)
    sys.argv = [f"distill {verb}", *arguments[1:]]
    # The summary that --help prints.
    sys.modules["__main__"].__doc__ = module.__doc__
    if verb == "launch_workers":
        sys.exit(module.main(arguments[1:]))
    entry_point.run(module.main, module.FLAG_GROUPS)
