"""The command `distill`: its verbs, each a module of this package."""

import difflib
import importlib
import sys
from types import ModuleType

from distill.cli import entry_point

VERBS = {
    "train": "Train a student beside its teacher, from one, or on labels.",
    "convert": "Copy the student out of a joint checkpoint.",
    "finetune": "Train a converted student further, on labels alone.",
    "evaluate": "Score a checkpoint, ensemble or artifact.",
    "infer": "Write the predictions of videos or segments as CSV.",
    "train_autoencoder": "Train a feature autoencoder.",
    "average_checkpoints": "Average the weights of checkpoints.",
    "ensemble": "Write and score an ensemble of checkpoints.",
    "calibrate_cascade": "Set the thresholds of a cascade.",
    "average_predictions": "Average files of predictions.",
    "convert_predictions": "Convert files of predictions.",
    "score_predictions": "Score a file of predictions.",
    "write_labels": "Write the labels of records as CSV.",
    "compare_scores": "Print the scores of several networks as a table.",
    "study": "Run the frame-budget study.",
    "export": "Export a network to SavedModel, Keras, ONNX and LiteRT.",
    "serve": "Serve a network over HTTP.",
    "list_models": "List the models with their sizes and costs.",
    "make_synthetic_data": "Write a synthetic data set.",
    "download_yt8m": "Download YouTube-8M.",
    "check_data": "Check every record of a data set.",
    "write_budget_shards": "Write shards of a frame budget's frames alone.",
    "join_clips": "Join short clips into long videos.",
    "launch_workers": "Run several workers of a verb on this machine.",
}


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
    run_verb(verb, arguments[1:])


def run_verb(verb: str, arguments: list[str]) -> None:
    """Runs a verb with flags; does not return."""
    module = _load(verb)
    sys.argv = [f"distill {verb}", *arguments]
    # The summary that --help prints.
    sys.modules["__main__"].__doc__ = module.__doc__
    if verb == "launch_workers":
        sys.exit(module.main(arguments))
    entry_point.run(module.main, module.FLAG_GROUPS)


def all_flags() -> set[str]:
    """Returns the names of the flags of all verbs."""
    groups = (
        group
        for verb in VERBS
        for group in getattr(_load(verb), "FLAG_GROUPS", ())
    )
    return {spec.name for group in groups for spec in group}


def _load(verb: str) -> ModuleType:
    return importlib.import_module(f"distill.cli.{verb}")
