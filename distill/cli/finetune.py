"""Trains a converted student on, on labels alone."""

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


def main() -> int:
    """Trains; returns 1 if a signal ended training early."""
    data_settings.require(
        "train_data_pattern", "train_dir", "student_checkpoint"
    )

    workers = distribution_flags.start_workers()
    from distill.networks.stored_settings import read_validated_settings
    from distill.settings.run_options import RunOptions
    from distill.training.encoders import keep_encoder
    from distill.training.loop import TrainingRun

    trained = read_validated_settings(FLAGS.student_checkpoint, "student")
    settings = keep_encoder(
        flag_settings.finetuning_settings(trained),
        FLAGS.encoder_checkpoint,
        FLAGS.freeze_encoder,
    )
    options = RunOptions(**flag_settings.run_option_values())
    export = deployment_flags.step_export(settings)
    return 0 if TrainingRun(settings, options, export, workers).train() else 1


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)
