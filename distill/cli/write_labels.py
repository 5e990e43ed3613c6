"""Writes the labels of records, or the ratings of segments, as CSV."""

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow, write_flags
from distill.cli.experiment import data_schema, frame_budget
from distill.cli.settings_flags import FLAGS, Flag, require, specs
from distill.settings.run_options import RunOptions
from distill.settings.training import TrainingSettings

OWN_FLAGS = (
    Flag("input_data_pattern", "Globs of the videos, comma-separated."),
    Flag("output_file", "The CSV file to write."),
)
FLAG_GROUPS = (
    groups.EXCLUDED_FILES,
    groups.LAYOUT,
    groups.BUDGET,
    specs(RunOptions, "on_bad_record"),
    specs(TrainingSettings, "batch_size"),
    OWN_FLAGS,
)


def main() -> None:
    """Writes the labels of every video."""
    require("input_data_pattern", "output_file")
    schema = data_schema()
    # Of whole videos any frames do; shards of a budget are read with it.
    budget = frame_budget().at_evaluation()

    start_tensorflow(gpu=-1)
    from distill.data.files import find_files
    from distill.data.pipeline import VideoReader
    from distill.evaluation.inference import write_labels

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
    written = "labels of {} videos"
    if schema.segment_labels:
        written = "ratings of {} segments"
    print(f"wrote the {written.format(count)} to {FLAGS.output_file}")
