"""Trains a feature autoencoder, whose encoder can stand before a network."""

import dataclasses

from distill.cli import experiment
from distill.cli import flag_groups as groups
from distill.cli.settings_flags import FLAGS, read, require, specs
from distill.models.options import option
from distill.settings.run import AutoencoderSettings, RunSettings
from distill.settings.training import TrainingSettings


@dataclasses.dataclass(frozen=True)
class AutoencoderFlags:
    """Flags of the autoencoder."""

    encoder_sizes: str = option(
        "512,256",
        "Widths of the encoder's layers, comma-separated: ReLU after all but "
        "the last, the code; the decoder mirrors them.",
    )


FLAG_GROUPS = (
    groups.LAYOUT,
    groups.TRAINING,
    specs(AutoencoderFlags),
    groups.DEVICES,
)


def main() -> int:
    """Trains; returns 1 if a signal ended training early."""
    require("train_data_pattern", "train_dir")
    settings = RunSettings(
        data=experiment.data_schema(),
        student=None,
        training=read(TrainingSettings),
        autoencoder=AutoencoderSettings(FLAGS.encoder_sizes),
    )
    return experiment.train(settings, experiment.start_workers())
