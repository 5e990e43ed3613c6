"""Writes a checkpoint's predictions as CSV.

`VideoId,LabelConfidencePairs`, or of segments `Class,Segments`.
"""

from absl import flags

from scripts import data_settings, flag_sets, scoring_settings
from scripts.entry_point import run, start_tensorflow, write_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    flag_sets.define_scoring_flags()
    flags.DEFINE_string("output_file", None, "The CSV file to write.")
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
    data_settings.require("output_file")
    if FLAGS.which == "both":
        raise ValueError("--which=both: a CSV holds one network's predictions.")

    start_tensorflow(FLAGS.gpu)
    from distill.evaluation import predict_videos
    from distill.inference import write_predictions
    from distill.reports import report_progress
    from distill.segment_inference import write_segments
    from distill.training.checkpoints import choose_checkpoint

    checkpoint = choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir)
    reader = scoring_settings.evaluation_reader(
        checkpoint, need_labels=False, pattern=FLAGS.input_data_pattern
    )
    network = scoring_settings.load_scored_network(checkpoint, FLAGS.which)
    predictions = predict_videos(network, reader)
    examples = "segments" if reader.schema.segment_labels else "videos"
    if reader.schema.segment_labels:
        counts = write_segments(
            FLAGS.output_file,
            predictions,
            scoring_settings.top_segments(reader.schema.num_classes),
        )
    else:
        counts = write_predictions(FLAGS.output_file, predictions, FLAGS.top_k)
    report_progress(
        counts, reader.estimate_num_examples(), FLAGS.output_file, examples
    )
    write_flags(FLAGS.output_file)


if __name__ == "__main__":
    define_flags()
    run(main)
