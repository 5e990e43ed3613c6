"""Trains a feature autoencoder, without labels."""

from absl import flags

from distill.settings import AutoencoderSettings, RunSettings
from scripts import (
    data_settings,
    distribution_flags,
    flag_sets,
    flag_settings,
)
from scripts.entry_point import run

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
    from distill.training.loop import TrainingRun
    from distill.training.run_options import RunOptions

    options = RunOptions(**flag_settings.run_option_values())
    return 0 if TrainingRun(settings, options, workers=workers).train() else 1


if __name__ == "__main__":
    define_flags()
    run(main)
