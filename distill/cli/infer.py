"""Writes the predictions of a checkpoint or an artifact as CSV.

`VideoId,LabelConfidencePairs`, or of segments `Class,Segments`.
"""

import dataclasses

from distill.cli import flag_groups as groups
from distill.cli import scoring
from distill.cli.entry_point import start_tensorflow, write_flags
from distill.cli.experiment import start_workers
from distill.cli.settings_flags import FLAGS, Flag, read, require, specs
from distill.settings.extraction import ExtractSettings
from distill.settings.video import VideoSettings
from distill.system.digests import path_hash
from distill.system.storage import to_path

OWN_FLAGS = (
    Flag(
        "input_data_pattern",
        "Globs of the videos, comma-separated. Default: --eval_data_pattern.",
    ),
    Flag(
        "videos",
        "In place of records: video files, as in `distill extract`; with "
        "--extractor_file.",
    ),
    Flag(
        "extractor_file",
        "extractor.json of the data set that `distill extract` has written.",
    ),
    Flag("output_file", "The CSV file to write."),
    Flag(
        "output_dir",
        "In place of --output_file: directory for a CSV file of each input; "
        "finished ones are kept.",
    ),
    Flag(
        "shard",
        "i,n: predict every n-th file, from file i on, counted from 0; n such "
        "processes share the work. Of segments each writes a file with scores "
        "for `distill merge_segments`.",
    ),
    Flag(
        "segment_max_per_class",
        "With --segment_labels: most segments written of each class.",
        int,
        100_000,
    ),
    Flag(
        "segment_label_ids_file",
        "With --segment_labels: file of the classes to write, an index a line, "
        "such as the starter code's segment_label_ids.csv. Default: all.",
    ),
)
FLAG_GROUPS = (
    groups.EVALUATION_FILES,
    OWN_FLAGS,
    groups.LAYOUT,
    groups.READING,
    groups.BUDGET,
    groups.CHECKPOINT,
    groups.SCORING,
    groups.DEVICES,
    groups.SHARING,
    groups.VIDEO_FILES,
    specs(ExtractSettings, "on_bad_video", "num_processes"),
)


def main() -> None:
    """Predicts every video, or every segment, of the input."""
    if (FLAGS.output_file is None) == (FLAGS.output_dir is None):
        raise ValueError("Give a value to --output_file, or to --output_dir.")
    if FLAGS.role == "both":
        raise ValueError("--role=both: a CSV holds one network's predictions.")

    if FLAGS.videos is not None:
        _infer_video_files()
        return
    workers = start_workers()
    from distill.evaluation.inference import choose_shard

    scored = scoring.scored_file()
    reader = scoring.evaluation_reader(
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


def _infer_video_files() -> None:
    """Predicts video files: only the frames that the network selects."""
    require("extractor_file", "output_file")
    if FLAGS.cascade_file is not None:
        raise ValueError(
            "--cascade_file: a cascade reads records; extract the videos first."
        )
    start_tensorflow(gpu=FLAGS.gpu)
    from distill.datasets.video_list import list_videos
    from distill.evaluation.inference import write_predictions
    from distill.extraction.extractor_file import read_extractor
    from distill.predictor import Predictor
    from distill.reporting.console import report_progress

    videos = list_videos(FLAGS.videos)
    predictor = Predictor.load(
        scoring.scored_file(),
        role=FLAGS.role,
        budget=scoring.scored_budget(FLAGS.role),
        trust_artifact=FLAGS.trust_artifact,
    )
    with predictor.reads(
        read_extractor(FLAGS.extractor_file),
        read(VideoSettings),
        FLAGS.num_processes,
    ) as features:
        batches = _predict_files(predictor, features, videos)
        counts = write_predictions(FLAGS.output_file, batches, FLAGS.top_k)
        report_progress(counts, len(videos), FLAGS.output_file)
    write_flags(FLAGS.output_file)


def _predict_files(predictor, features, videos):
    """Yields a prediction for each video that can be read."""
    import numpy as np

    from distill.evaluation.evaluate import Prediction
    from distill.extraction.video_features import BadVideoError

    found = features.of([video.path for video in videos])
    for video, (_, future) in zip(videos, found, strict=True):
        try:
            stored = predictor.check(future.result())
        except (BadVideoError, FileNotFoundError) as error:
            if FLAGS.on_bad_video == "stop":
                raise
            print(f"skipped {error}", flush=True)
            continue
        predictions = predictor.probabilities([stored])
        none = np.zeros(predictions.shape, bool)
        yield Prediction([video.id], predictions, none)


def _infer_videos(scored, reader, workers) -> None:
    from distill.evaluation.evaluate import predict_videos
    from distill.evaluation.inference import write_shared_predictions
    from distill.reporting.console import report_progress

    network = scoring.load_scored_network(scored, FLAGS.role, workers)
    sharing = scoring.sharing(workers)
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
    from distill.evaluation.inference import InferenceFiles
    from distill.reporting.console import progress_bar

    # What predictions depend on: the file, the network, its frames.
    names = ("frame_selection", "frame_budget", "every_n", "mixed_precision")
    sources = {name: FLAGS[name].value for name in names}
    if FLAGS.cascade_file is not None:
        sources["cascade"] = path_hash(FLAGS.cascade_file)
    sources |= {"sha256": path_hash(scored), "role": FLAGS.role}
    results = InferenceFiles(to_path(FLAGS.output_dir), sources, FLAGS.top_k)
    results.prepare(reader.files)
    network = scoring.load_scored_network(scored, FLAGS.role, workers)
    files = reader.files[workers.rank :: workers.num_workers]
    own = dataclasses.replace(reader, files=files)
    with progress_bar("files", len(files)) as show:
        for done, line in enumerate(results.write(network, own), start=1):
            print(line, flush=True)
            show(done)
    workers.wait()


def _infer_segments(scored, reader, workers) -> None:
    from distill.evaluation.evaluate import predict_videos
    from distill.evaluation.segment_inference import (
        TopSegments,
        read_class_list,
        write_segments,
        write_shared_segments,
    )
    from distill.reporting.console import report_progress

    if FLAGS.output_dir is not None:
        raise ValueError(
            "--output_dir is not for --segment_labels: the best segments of a "
            "class are those of all files; give --output_file."
        )
    if FLAGS.shard is not None and workers.num_workers > 1:
        raise ValueError(
            "--shard is for one process with --segment_labels: several workers "
            "divide the files among themselves."
        )
    file, num_classes = FLAGS.segment_label_ids_file, reader.schema.num_classes
    classes = (
        range(num_classes)
        if file is None
        else read_class_list(file, num_classes)
    )
    top = TopSegments(classes, FLAGS.segment_max_per_class)
    network = scoring.load_scored_network(
        scored, FLAGS.role, workers, segments=True
    )
    sharing = scoring.sharing(workers)
    batches = predict_videos(network, reader, sharing)
    if FLAGS.shard is None:
        counts = write_shared_segments(FLAGS.output_file, batches, top, sharing)
    else:
        counts = write_segments(
            FLAGS.output_file, batches, top, with_scores=True
        )
    total = reader.estimate_num_examples() // workers.num_workers
    report_progress(counts, total, FLAGS.output_file, "segments")
    if workers.is_chief:
        write_flags(FLAGS.output_file)
