"""Trains a student: beside its teacher, from a trained one, or on labels."""

from absl import flags

from distill.cli import (
    data_settings,
    deployment_flags,
    distribution_flags,
    flag_sets,
    flag_settings,
)
from distill.cli.entry_point import run

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    flag_sets.define_regime_flag()


def main() -> int:
    """Trains; returns 1 if a signal ended training early."""
    data_settings.require("train_data_pattern", "train_dir")
    settings = flag_settings.REGIMES[FLAGS.regime]()

    workers = distribution_flags.start_workers()
    from distill.settings.run_options import RunOptions
    from distill.training.encoders import with_encoder
    from distill.training.loop import TrainingRun

    settings = with_encoder(
        settings, FLAGS.encoder_checkpoint, FLAGS.freeze_encoder
    )
    options = RunOptions(**flag_settings.run_option_values())
    export = deployment_flags.step_export(settings)
    return 0 if TrainingRun(settings, options, export, workers).train() else 1


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)
