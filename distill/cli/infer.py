"""Writes the predictions of a checkpoint or an artifact as CSV.

`VideoId,LabelConfidencePairs`, or of segments `Class,Segments`.
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

from distill.cli import flag_groups as groups
from distill.cli import scoring
from distill.cli.beam import beam_runner
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
    groups.BEAM_INFERENCE,
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
    place = FLAGS.output_dir or to_path(FLAGS.output_file).parent
    run = beam_runner(place)
    workers = start_workers()
    from distill.evaluation.inference import choose_shard

    scored = scoring.scored_file()
    reader = scoring.evaluation_reader(
        scored, need_labels=False, pattern=FLAGS.input_data_pattern
    )
    reader = dataclasses.replace(
        reader, files=choose_shard(reader.files, FLAGS.shard)
    )
    if run is not None:
        _infer_records_by(run, scored, reader)
        return
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
    run = beam_runner(to_path(FLAGS.output_file).parent)
    start_tensorflow(gpu=FLAGS.gpu)
    from distill.datasets.video_list import list_videos
    from distill.evaluation.video_inference import VideoInference
    from distill.predictor import Predictor
    from distill.reporting.console import report_progress

    videos, scored = list_videos(FLAGS.videos), scoring.scored_file()
    limits = read(VideoSettings)
    inference = VideoInference(
        functools.partial(
            Predictor.load_for_videos,
            scored,
            FLAGS.extractor_file,
            limits,
            FLAGS.num_processes if run is None else FLAGS.num_processes or 1,
            role=FLAGS.role,
            budget=scoring.scored_budget(FLAGS.role),
            trust_artifact=FLAGS.trust_artifact,
        ),
        FLAGS.on_bad_video,
        FLAGS.top_k,
    )

    def report(line: str) -> None:
        print(f"skipped {line}", flush=True)

    counts: Iterable[int]
    if run is None:
        counts = inference.write(FLAGS.output_file, videos, report)
    else:
        sources = _sources(scored)
        sources["extractor"] = path_hash(FLAGS.extractor_file)
        sources["limits"] = dataclasses.asdict(limits)
        counts = [
            inference.write_by(
                run,
                FLAGS.output_file,
                videos,
                report,
                sources=sources,
                num_tasks=FLAGS.beam_tasks,
            )
        ]
    report_progress(counts, len(videos), FLAGS.output_file)
    write_flags(FLAGS.output_file)


def _sources(scored: str) -> dict[str, Any]:
    """Returns what predictions depend on: the network and its frames."""
    names = ("frame_selection", "frame_budget", "every_n", "mixed_precision")
    sources = {name: FLAGS[name].value for name in names}
    if FLAGS.cascade_file is not None:
        sources["cascade"] = path_hash(FLAGS.cascade_file)
    return sources | {"sha256": path_hash(scored), "role": FLAGS.role}


def _infer_records_by(run, scored, reader) -> None:
    """Predicts records by the workers of a runner."""
    from distill.deployment.inference_tasks import infer_by, infer_files_by
    from distill.evaluation.inference import InferenceFiles
    from distill.reporting.console import report_progress

    load, sources = scoring.network_loader(scored, FLAGS.role), _sources(scored)
    if FLAGS.output_dir is not None:
        directory = to_path(FLAGS.output_dir).absolute()
        results = InferenceFiles(directory, sources, FLAGS.top_k)
        for line in infer_files_by(run, load, reader, results):
            print(line, flush=True)
        return
    count = infer_by(
        run,
        load,
        reader,
        FLAGS.output_file,
        sources=sources,
        top_k=FLAGS.top_k,
        num_tasks=FLAGS.beam_tasks,
    )
    report_progress([count], count, FLAGS.output_file)
    write_flags(FLAGS.output_file)


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

    results = InferenceFiles(
        to_path(FLAGS.output_dir), _sources(scored), FLAGS.top_k
    )
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
