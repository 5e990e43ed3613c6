"""Writes the labels of records as a CSV file: `VideoId,Labels`."""

from absl import flags

from distill.cli import data_settings, flag_sets, flag_settings
from distill.cli.entry_point import run, start_tensorflow, write_flags
from distill.models.frame_budget import ALL_FRAMES

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    flags.DEFINE_string(
        "input_data_pattern", None, "Globs of the videos, comma-separated."
    )
    flags.DEFINE_string("output_file", None, "The CSV file to write.")


def main() -> None:
    """Writes the labels of every video."""
    data_settings.require("input_data_pattern", "output_file")
    schema = data_settings.data_schema()
    # Of whole videos any frames do; shards of a budget are read with it.
    budget = flag_settings.frame_budget(ALL_FRAMES).at_evaluation()

    start_tensorflow(gpu=-1)
    from distill.data.files import find_files
    from distill.data.pipeline import VideoReader
    from distill.evaluation.prediction_files.labels import write_labels

    reader = VideoReader(
        schema,
        find_files(FLAGS.input_data_pattern),
        FLAGS.batch_size,
        need_labels=True,
        on_bad_record=FLAGS.on_bad_record,
        budget=budget,
    )
    *_, count = write_labels(FLAGS.output_file, reader)
    write_flags(FLAGS.output_file)
    print(f"wrote the labels of {count} videos to {FLAGS.output_file}")


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)
