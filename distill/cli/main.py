"""The command `distill`: finds a verb's module and runs it."""

import difflib
import sys

import distill
from distill.cli import entry_point
from distill.cli.verbs import VERB_GROUPS, VERBS, load_verb


def main() -> None:
    """Runs the verb that the command line names."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "--helpfull"):
        print(_list_verbs())
        sys.exit(0)
    if arguments[0] == "--version":
        print(f"distill {distill.__version__}")
        sys.exit(0)
    verb = arguments[0]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        print(
            f"ERROR: there is no verb {verb!r}.{hint} `distill` lists them.",
            file=sys.stderr,
        )
        sys.exit(1)
    module = load_verb(verb)
    sys.argv = [f"distill {verb}", *arguments[1:]]
    if verb == "launch_workers":
        sys.exit(module.main(arguments[1:]))
    takes_words = getattr(module, "TAKES_WORDS", False)
    entry_point.run(module.main, module.FLAG_GROUPS, takes_words)


def _list_verbs() -> str:
    lines = ["Usage: distill VERB [--FLAG=VALUE ...]"]
    for heading, verbs in VERB_GROUPS.items():
        lines += ["", heading]
        lines += [f"  {verb:20} {text}" for verb, text in verbs.items()]
    lines += ["", "`distill VERB --help` shows the flags of a verb."]
    return "\n".join(lines)
