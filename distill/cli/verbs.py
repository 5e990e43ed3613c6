"""The verbs of the command `distill`, each a module of this package."""

import functools
import importlib
from types import ModuleType

VERB_GROUPS = {
    "Train": {
        "train": "Train a student beside its teacher, from one, or on labels.",
        "convert": "Copy the student out of a joint checkpoint.",
        "finetune": "Train a converted student further, on labels alone.",
        "train_autoencoder": "Train a feature autoencoder.",
        "average_checkpoints": "Average the weights of checkpoints.",
        "launch_workers": "Run several workers of a verb on this machine.",
    },
    "Score": {
        "evaluate": "Score a checkpoint, ensemble or artifact.",
        "infer": "Write the predictions of videos or segments as CSV.",
        "compare_scores": "Print the scores of several networks as a table.",
        "ensemble": "Write and score an ensemble of checkpoints.",
        "calibrate_cascade": "Set the thresholds of a cascade.",
    },
    "Deploy": {
        "export": "Export a network to SavedModel, Keras, ONNX and LiteRT.",
        "serve": "Serve a network over HTTP.",
        "package": "Write an exported network as a folder for a model hub.",
    },
    "Data": {
        "make_synthetic_data": "Write a synthetic data set.",
        "extract": "Extract features of video files into records.",
        "pack": "Pack arrays (NumPy, HDF5, Parquet) into records to train on.",
        "download_yt8m": "Download YouTube-8M.",
        "check_data": "Check every record of a data set.",
        "write_budget_shards": "Write shards of a frame budget's frames alone.",
        "join_clips": "Join short clips into long videos.",
        "fit_pca": "Fit a PCA with whitening to frames.",
    },
    "Study and tools": {
        "study": "Run the frame-budget study.",
        "list_models": "List the models with their sizes and costs.",
        "configs": "List the configs of the package, or print one.",
        "inspect": "Print what a checkpoint holds.",
    },
    "Prediction files": {
        "average_predictions": "Combine files of predictions.",
        "fit_weights": "Fit weights of prediction files to labels.",
        "convert_predictions": "Convert files of predictions.",
        "merge_segments": "Merge files of the best segments of each class.",
        "score_predictions": "Score a file of predictions.",
        "write_labels": "Write the labels of records, or ratings, as CSV.",
    },
}
VERBS = {
    verb: text for group in VERB_GROUPS.values() for verb, text in group.items()
}


def load_verb(verb: str) -> ModuleType:
    """Returns the module of a verb."""
    return importlib.import_module(f"distill.cli.{verb}")


def flags_of(verb: str) -> set[str]:
    """Returns the names of a verb's flags."""
    groups = getattr(load_verb(verb), "FLAG_GROUPS", ())
    return {spec.name for group in groups for spec in group}


@functools.cache
def all_flags() -> frozenset[str]:
    """Returns the names of the flags of all verbs."""
    return frozenset().union(*map(flags_of, VERBS))
