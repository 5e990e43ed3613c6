"""Writes the predictions of a checkpoint or an artifact as CSV.

`VideoId,LabelConfidencePairs`, or of segments `Class,Segments`.
"""

import dataclasses

from absl import flags

from distill.cli import (
    distribution_flags,
    flag_sets,
    scoring_flags,
    scoring_settings,
)
from distill.cli.entry_point import run, write_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    scoring_flags.define_scoring_flags()
    flags.DEFINE_string("output_file", None, "The CSV file to write.")
    flags.DEFINE_string(
        "output_dir",
        None,
        "In place of --output_file: directory for a CSV file of each input; "
        "those that are there are kept.",
    )
    flags.DEFINE_string(
        "shard",
        None,
        "i,n: predict every n-th file, from file i on, counted from 0; n such "
        "processes share the work.",
    )
    flags.DEFINE_string(
        "input_data_pattern",
        None,
        "Globs of the videos, comma-separated; default: --eval_data_pattern.",
    )
    flags.DEFINE_integer(
        "segment_max_per_class",
        100_000,
        "With --segment_labels: segments written of each class at most.",
    )
    flags.DEFINE_string(
        "segment_label_ids_file",
        None,
        "With --segment_labels: file of the classes to write, an index a line; "
        "default: all.",
    )


def main() -> None:
    """Predicts every video, or every segment, of the input."""
    if (FLAGS.output_file is None) == (FLAGS.output_dir is None):
        raise ValueError("Give a value to --output_file, or to --output_dir.")
    if FLAGS.role == "both":
        raise ValueError("--role=both: a CSV holds one network's predictions.")

    workers = distribution_flags.start_workers()
    from distill.evaluation.inference_files import choose_shard

    scored = scoring_settings.scored_file()
    reader = scoring_settings.evaluation_reader(
        scored, need_labels=False, pattern=FLAGS.input_data_pattern
    )
    reader = dataclasses.replace(
        reader, files=choose_shard(reader.files, FLAGS.shard)
    )
    with workers.exit_barrier():
        if reader.schema.segment_labels:
            _infer_segments(scored, reader, workers)
        elif FLAGS.output_dir is not None:
            _infer_files(scored, reader, workers)
        else:
            _infer_videos(scored, reader, workers)


def _infer_videos(scored, reader, workers) -> None:
    from distill.evaluation.evaluate import predict_videos
    from distill.evaluation.inference import write_shared_predictions
    from distill.reporting.console import report_progress

    network = scoring_settings.load_scored_network(scored, FLAGS.role, workers)
    sharing = distribution_flags.sharing(workers)
    counts = write_shared_predictions(
        FLAGS.output_file,
        predict_videos(network, reader, sharing),
        FLAGS.top_k,
        sharing,
        reader,
    )
    total = reader.estimate_num_examples() // workers.num_workers
    report_progress(counts, total, FLAGS.output_file)
    if workers.is_chief:
        write_flags(FLAGS.output_file)


def _infer_files(scored, reader, workers) -> None:
    from pathlib import Path

    from distill.evaluation.inference_files import InferenceFiles

    results = InferenceFiles(
        Path(FLAGS.output_dir),
        scoring_settings.describe_scored(scored, FLAGS.role),
        FLAGS.top_k,
    )
    results.prepare(reader.files)
    network = scoring_settings.load_scored_network(scored, FLAGS.role, workers)
    files = reader.files[workers.rank :: workers.num_workers]
    own = dataclasses.replace(reader, files=files)
    for line in results.write(network, own):
        print(line, flush=True)
    workers.wait()


def _infer_segments(scored, reader, workers) -> None:
    from distill.evaluation.evaluate import predict_videos
    from distill.evaluation.segment_inference import write_segments
    from distill.reporting.console import report_progress

    if FLAGS.output_dir is not None or FLAGS.shard is not None:
        raise ValueError(
            "--output_dir and --shard are not for --segment_labels: the best "
            "segments of a class are those of all files."
        )
    if workers.num_workers > 1:
        raise ValueError(
            "--segment_labels: the best segments of a class are those of all "
            "files; predict them by one process (--strategy=single)."
        )
    network = scoring_settings.load_scored_network(scored, FLAGS.role, workers)
    counts = write_segments(
        FLAGS.output_file,
        predict_videos(network, reader),
        scoring_settings.top_segments(reader.schema.num_classes),
    )
    report_progress(
        counts, reader.estimate_num_examples(), FLAGS.output_file, "segments"
    )
    write_flags(FLAGS.output_file)


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)
