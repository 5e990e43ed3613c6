"""The verbs of the command `distill`, each a module of this package."""

import importlib
from types import ModuleType

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


def load_verb(verb: str) -> ModuleType:
    """Returns the module of a verb."""
    return importlib.import_module(f"distill.cli.{verb}")


def all_flags() -> set[str]:
    """Returns the names of the flags of all verbs."""
    groups = (
        group
        for verb in VERBS
        for group in getattr(load_verb(verb), "FLAG_GROUPS", ())
    )
    return {spec.name for group in groups for spec in group}
