"""Trains a feature autoencoder, whose encoder can stand before a network."""

from distill.cli import experiment
from distill.cli import flag_groups as groups
from distill.cli.settings_flags import FLAGS, Flag, require
from distill.settings.run import AutoencoderSettings, RunSettings

OWN_FLAGS = (
    Flag(
        "encoder_sizes",
        "Widths of the encoder's layers, comma-separated: ReLU after all but "
        "the last, the code; the decoder mirrors them.",
        default="512,256",
    ),
)
FLAG_GROUPS = (groups.TRAINING, groups.LAYOUT, OWN_FLAGS, groups.DEVICES)


def main() -> int:
    """Trains; returns 1 if a signal ended training early."""
    require("train_data_pattern", "train_dir")
    settings = RunSettings(
        data=experiment.data_schema(),
        student=None,
        training=experiment.training_settings(),
        autoencoder=AutoencoderSettings(FLAGS.encoder_sizes),
    )
    return experiment.train(settings, experiment.start_run())
