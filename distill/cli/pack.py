"""Packs arrays (NumPy, HDF5, Parquet) into records to train on."""

from distill.cli import flag_groups as groups
from distill.cli.beam import beam_runner
from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, Flag, read, require, specs
from distill.settings.pack import PackSettings
from distill.system.storage import warn_of_records

OWN_FLAGS = (
    Flag(
        "input",
        "A folder of .npy or .npz files, one a video; an HDF5 file (.h5) of a "
        "dataset or group a video; a Parquet file; or a CSV manifest with the "
        "columns path,labels.",
    ),
    Flag("output_dir", "Directory of the data set, for it alone."),
    Flag(
        "class_names_file",
        "CSV file of the classes: a header, then INDEX,...,NAME. Default: the "
        "names found, sorted.",
    ),
)
FLAG_GROUPS = (OWN_FLAGS, specs(PackSettings), groups.BEAM)


def main() -> None:
    """Writes the records and says how many and how they are read."""
    require("input", "output_dir")
    settings = read(PackSettings)

    run = beam_runner(FLAGS.output_dir)
    warn_of_records(FLAGS.output_dir)
    start_tensorflow(gpu=-1)
    from distill.datasets.array_sources import open_arrays
    from distill.datasets.pack import write_records
    from distill.datasets.packed_data import DATASET_FLAGS
    from distill.datasets.packed_shards import PackedShards
    from distill.reporting.console import print_shard, progress_bar
    from distill.settings.class_names import read_class_names
    from distill.system.directory_lock import DirectoryLock

    names = None
    if FLAGS.class_names_file is not None:
        names = read_class_names(FLAGS.class_names_file, settings.num_classes)
    videos = open_arrays(FLAGS.input, settings.feature_names)
    if run is None:
        with progress_bar("videos", 0) as observe:
            packed = write_records(
                videos, FLAGS.output_dir, settings, names, observe
            )
    else:
        with DirectoryLock(FLAGS.output_dir):
            shards = PackedShards(
                videos, FLAGS.output_dir, settings, names, run
            )
            packed = shards.write(print_shard)
    for line in packed.describe():
        print(line)
    print(f"wrote {FLAGS.output_dir}; read it by")
    print(f"  --flagfile={FLAGS.output_dir}/{DATASET_FLAGS}")
