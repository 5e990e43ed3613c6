"""Trains a feature autoencoder, without labels."""

from absl import flags

from distill.cli import (
    data_settings,
    distribution_flags,
    flag_sets,
    flag_settings,
)
from distill.cli.entry_point import run
from distill.settings.run import AutoencoderSettings, RunSettings

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    flags.DEFINE_string(
        "encoder_sizes",
        "512,256",
        "Widths of the encoder's layers, comma-separated: ReLU after all but "
        "the last, which is the code; the decoder mirrors them.",
    )


def main() -> int:
    """Trains; returns 1 if a signal ended training early."""
    data_settings.require("train_data_pattern", "train_dir")
    settings = RunSettings(
        data=data_settings.data_schema(),
        student=None,
        training=flag_settings.training_settings(),
        autoencoder=AutoencoderSettings(FLAGS.encoder_sizes),
    )

    workers = distribution_flags.start_workers()
    from distill.settings.run_options import RunOptions
    from distill.training.loop import TrainingRun

    options = RunOptions(**flag_settings.run_option_values())
    return 0 if TrainingRun(settings, options, workers=workers).train() else 1


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)
