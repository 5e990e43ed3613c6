"""Trains the same student on the same videos on Keras's backends.

Compares losses, final scores, times and memory. Flags are those of `distill
train --regime=labels`; dropout is off. The report is written to --output_dir.
"""

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.experiment import run_settings
from distill.cli.settings_flags import FLAGS, Flag, require
from distill.system.extras import import_extra
from distill.system.storage import make_directory, to_path
from tools.backends.flags import BACKENDS, chosen_backends

# The settings that `ModelRunner.prepare_training` and the reader use.
_TRAINING = (
    *("train_data_pattern", "train_share", "shuffle_buffer_size", "seed"),
    *("batch_size", "base_learning_rate", "adam_epsilon", "hinge_margin"),
    *("label_loss", "label_loss_alpha", "clip_gradient_norm"),
    *("eval_data_pattern", "on_bad_record", "preset"),
)
_ENCODER = ("encoder_checkpoint", "freeze_encoder")
FLAG_GROUPS = (
    [
        Flag("steps", "Steps of the training.", int, 300, minimum=1),
        Flag(
            "output_dir",
            "Directory of training.md, training.json and the plot.",
            default="runs/backends",
        ),
    ],
    [flag for flag in groups.TRAINING if flag.name in _TRAINING],
    groups.LAYOUT,
    [flag for flag in groups.NETWORKS if flag.name not in _ENCODER],
    groups.TRAINING_BUDGET,
    BACKENDS,
    groups.GPU,
)


def main() -> None:
    """Trains on each backend, prints the table and writes the report."""
    require("train_data_pattern", "eval_data_pattern")
    settings, backends = run_settings("labels"), chosen_backends()
    import_extra("matplotlib", "study")
    # A directory that cannot be made is an error before the training.
    make_directory(to_path(FLAGS.output_dir))
    start_tensorflow(gpu=-1)  # of this process, which reads
    from tools.backends.report import print_training, write_training_report
    from tools.backends.training import compare_training, make_readers

    readers = make_readers(
        settings, FLAGS.eval_data_pattern, FLAGS.on_bad_record
    )
    found = compare_training(
        settings, FLAGS.steps, *readers, backends, FLAGS.gpu
    )
    print_training(found)
    write_training_report(FLAGS.output_dir, settings, found)
    print(f"wrote {FLAGS.output_dir}/training.md")
