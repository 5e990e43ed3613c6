"""Extracts features of video files into records to train on."""

from distill.cli import flag_groups as groups
from distill.cli.beam import beam_runner
from distill.cli.entry_point import start_tensorflow
from distill.cli.experiment import frame_budget
from distill.cli.settings_flags import FLAGS, Flag, read, require, specs, under
from distill.settings.extraction import ExtractorSettings, ExtractSettings
from distill.settings.video import VideoSettings
from distill.system.storage import to_path, warn_of_records

OWN_FLAGS = (
    Flag(
        "videos",
        "A CSV file with the columns path,labels (and perhaps id, split), a "
        "folder with a folder of videos for each class, or globs.",
    ),
    Flag(
        "output_dir",
        "Directory of the data set. Shards that are there are kept, so an "
        "interrupted command goes on.",
    ),
    Flag(
        "class_names_file",
        "CSV file of the classes: a header, then INDEX,...,NAME. Default: the "
        "names found, sorted.",
    ),
)
FLAG_GROUPS = (
    OWN_FLAGS,
    groups.EXTRACTOR,
    under("Data", specs(ExtractSettings)),
    groups.VIDEO_FILES,
    groups.BUDGET,
    groups.GPU,
    groups.BEAM,
)


def main() -> None:
    """Writes the records and says how many and how they are read."""
    require("videos", "output_dir")
    settings, limits = read(ExtractSettings), read(VideoSettings)
    networks, budget = read(ExtractorSettings), frame_budget()

    run = beam_runner(FLAGS.output_dir)
    warn_of_records(FLAGS.output_dir)
    start_tensorflow(gpu=FLAGS.gpu)
    from distill.datasets.extracted_data import ExtractedData
    from distill.datasets.packed_data import DATASET_FLAGS
    from distill.datasets.video_list import list_videos
    from distill.extraction.extractor import VideoExtractor
    from distill.extraction.extractor_file import EXTRACTOR, write_extractor
    from distill.reporting.console import print_shard, progress_bar
    from distill.settings.class_names import read_class_names
    from distill.system.directory_lock import DirectoryLock

    names = None
    if FLAGS.class_names_file is not None:
        names = read_class_names(FLAGS.class_names_file, settings.num_classes)
    extractor = VideoExtractor(networks, limits.frames_per_second)
    data = ExtractedData(
        list_videos(FLAGS.videos),
        FLAGS.output_dir,
        extractor,
        settings,
        limits=limits,
        budget=budget,
        class_names=names,
    )
    with (
        DirectoryLock(FLAGS.output_dir),
        progress_bar("videos", data.num_videos) as observe,
    ):
        path = to_path(FLAGS.output_dir) / EXTRACTOR
        write_extractor(path, networks, extractor)
        if run is None:
            packed = data.write(print_shard, observe)
        else:
            packed = data.write_by(run, path, print_shard)
    for line in packed.describe():
        print(line)
    if extractor.macs is not None:
        print(f"extraction: {extractor.macs:,} MACs a frame")
    print(f"wrote {FLAGS.output_dir}; read it by")
    print(f"  --flagfile={FLAGS.output_dir}/{DATASET_FLAGS}")
