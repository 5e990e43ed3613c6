"""Exports a trained network to files that other programs run."""

from absl import flags

from distill.cli import (
    data_settings,
    deployment_flags,
    flag_sets,
    scoring_flags,
    scoring_settings,
)
from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    scoring_flags.define_scoring_flags()
    deployment_flags.define_export_flags()
    FLAGS.set_default("role", None)


def main() -> None:
    """Writes the artifacts, compares them and prints the card."""
    data_settings.require("export_dir", "eval_data_pattern")
    for flag in ("cascade_file", "artifact"):
        if FLAGS[flag].present:
            raise ValueError(f"--{flag}: what is exported is a checkpoint.")

    # Other runtimes know no bfloat16.
    FLAGS.mixed_precision = "float32"

    start_tensorflow(FLAGS.gpu)
    from distill.checkpoints.checkpoint import choose_checkpoint
    from distill.deployment.archive import write_archive
    from distill.deployment.artifacts import choose_kinds
    from distill.deployment.export import Export, choose_network

    kinds = choose_kinds(FLAGS.formats, FLAGS.precisions)
    checkpoint = str(choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir))
    role = choose_network(checkpoint, FLAGS.role)
    reader = scoring_settings.evaluation_reader(checkpoint, need_labels=True)
    export = Export(
        checkpoint,
        role,
        scoring_settings.load_scored_network(checkpoint, role),
        reader,
        FLAGS.eval_data_pattern,
        deployment_flags.class_names(reader.schema.num_classes),
        FLAGS.top_k,
    )
    for line in export.write(FLAGS.export_dir, kinds):
        print(line, flush=True)
    if FLAGS.archive is not None:
        print(write_archive(FLAGS.export_dir, FLAGS.archive, FLAGS.max_bytes))


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)
