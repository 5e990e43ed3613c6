"""Trains a converted student further, on labels alone."""

from distill.cli import experiment
from distill.cli import flag_groups as groups
from distill.cli.settings_flags import FLAGS, require

FLAG_GROUPS = (
    groups.TRAINING,
    groups.LAYOUT,
    groups.NETWORKS,
    groups.TRAINING_BUDGET,
    groups.STUDENT_FILE,
    groups.DEVICES,
)


def main() -> int:
    """Trains; returns 1 if a signal ended training early."""
    require("train_data_pattern", "train_dir", "student_checkpoint")

    workers = experiment.start_run()
    from distill.checkpoints.checkpoint import initial_settings
    from distill.networks.stored_settings import read_validated_settings
    from distill.training.encoders import keep_encoder

    source = FLAGS.student_checkpoint
    if not FLAGS.start_new_model:
        source = initial_settings(source, FLAGS.train_dir)
    trained = read_validated_settings(source, "student")
    settings = keep_encoder(
        experiment.finetuning_settings(trained),
        FLAGS.encoder_checkpoint,
        FLAGS.freeze_encoder,
    )
    return experiment.train(settings, workers)
