"""Fits a PCA with whitening to the frames of records or arrays."""

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow, write_flags
from distill.cli.experiment import data_schema
from distill.cli.settings_flags import FLAGS, Flag, read, require, specs, under
from distill.settings.pca import PcaSettings
from distill.settings.run_options import RunOptions
from distill.settings.training import TrainingSettings

OWN_FLAGS = (
    Flag(
        "input",
        "Arrays in place of records: a folder or a file that `distill pack` "
        "reads.",
    ),
    Flag("output_file", "File of the PCA, which ends in .h5."),
)
FLAG_GROUPS = (
    specs(TrainingSettings, "train_data_pattern"),
    OWN_FLAGS,
    specs(PcaSettings),
    groups.EXCLUDED_FILES,
    groups.LAYOUT,
    under("Data", specs(RunOptions, "on_bad_record")),
)


def main() -> None:
    """Fits the PCA, writes it and says how much variance it explains."""
    require("output_file", "num_components")
    if bool(FLAGS.input) == bool(FLAGS.train_data_pattern):
        raise ValueError(
            "Give a value to --train_data_pattern or to --input, not to both."
        )
    settings, schema = read(PcaSettings), data_schema()

    start_tensorflow(gpu=-1)
    from distill.data.files import find_files
    from distill.datasets import fit_pca
    from distill.reporting.console import progress_bar

    if FLAGS.input:
        frames = fit_pca.read_array_frames(
            FLAGS.input, settings.feature_name, schema.quantisation_range
        )
    else:
        frames = fit_pca.read_record_frames(
            fit_pca.schema_of_feature(schema, settings.feature_name),
            find_files(FLAGS.train_data_pattern),
            FLAGS.on_bad_record,
        )
    with progress_bar("frames", settings.max_frames_read or 0) as observe:
        fitted, num_frames = fit_pca.fit_pca(
            frames, settings, FLAGS.output_file, observe
        )
    write_flags(FLAGS.output_file)
    for line in fit_pca.describe_fit(fitted, num_frames):
        print(line)
    print(f"wrote {FLAGS.output_file}")
