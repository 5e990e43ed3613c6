"""Trains a student: beside its teacher, from trained ones, or on labels."""

from distill.cli import experiment
from distill.cli import flag_groups as groups
from distill.cli.settings_flags import FLAGS, require

FLAG_GROUPS = (
    groups.TRAINING,
    groups.LAYOUT,
    groups.NETWORKS,
    groups.TRAINING_BUDGET,
    groups.DISTILLATION,
    groups.DEVICES,
)


def main() -> int:
    """Trains; returns 1 if a signal ended training early."""
    require("train_data_pattern", "train_dir")
    settings = experiment.run_settings(FLAGS.regime)

    workers = experiment.start_run()
    from distill.training.encoders import with_encoder

    settings = with_encoder(
        settings,
        FLAGS.encoder_checkpoint,
        FLAGS.freeze_encoder,
        None if FLAGS.start_new_model else FLAGS.train_dir,
    )
    return experiment.train(settings, workers)
