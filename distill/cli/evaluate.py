"""Scores a checkpoint, every new one as it appears, or an artifact."""

from collections.abc import Iterable
from typing import Any

from distill.cli import flag_groups as groups
from distill.cli import scoring
from distill.cli.entry_point import write_flags
from distill.cli.experiment import start_workers
from distill.cli.settings_flags import FLAGS, Flag, require
from distill.system.storage import to_path
from distill.system.write_errors import WriteError

OWN_FLAGS = (
    Flag(
        "run_once",
        "Score one checkpoint; false: score every new one in --train_dir.",
        bool,
        True,
    ),
    Flag(
        "poll_seconds",
        "With --run_once=false: seconds between looks.",
        float,
        10.0,
    ),
    Flag(
        "events_dir",
        "Folder for TensorBoard's events; empty: none. Default: events in "
        "--train_dir.",
    ),
    Flag(
        "metrics_file",
        "JSON file for the metrics; with --role=both a list of two objects.",
    ),
)
FLAG_GROUPS = (
    groups.EVALUATION_FILES,
    groups.LAYOUT,
    groups.READING,
    groups.MIN_FRAMES,
    groups.BUDGET,
    groups.CHECKPOINT,
    groups.SCORING,
    OWN_FLAGS,
    groups.DEVICES,
    groups.SHARING,
)


def main() -> None:
    """Scores the networks and prints the table."""
    require("eval_data_pattern")

    workers = start_workers()
    from distill.checkpoints.checkpoint import follow
    from distill.checkpoints.file_checks import CheckpointGoneError
    from distill.evaluation.metrics_files import print_scores, write_metrics

    networks = ("teacher", "student") if FLAGS.role == "both" else (FLAGS.role,)
    if FLAGS.run_once:
        chosen: Iterable[str] = [scoring.scored_file()]
    else:
        require("train_dir")
        if workers.num_workers > 1:
            raise ValueError("--run_once=false is for one process.")
        chosen = map(str, follow(FLAGS.train_dir, FLAGS.poll_seconds))
    sharing = scoring.sharing(workers)
    with _open_events(workers.is_chief) as events:
        for checkpoint in chosen:
            try:
                with workers.exit_barrier():
                    scores = [
                        scoring.score(checkpoint, role, sharing)
                        for role in networks
                    ]
            except CheckpointGoneError as error:
                if FLAGS.run_once:
                    raise
                # The run keeps its newest checkpoints alone.
                print(f"skipped: {error}", flush=True)
                continue
            if not workers.is_chief:
                continue
            print_scores(scores)
            events.write(scores)
            if FLAGS.metrics_file:
                write_metrics(
                    FLAGS.metrics_file, scores if len(scores) > 1 else scores[0]
                )
                write_flags(FLAGS.metrics_file)


def _open_events(is_chief: bool) -> Any:
    """Returns the `ScoreEvents`; without a place that can be written, none."""
    from distill.evaluation.score_events import ScoreEvents

    if not is_chief or (FLAGS.events_dir or FLAGS.train_dir) is None:
        return ScoreEvents(None)
    if FLAGS.events_dir is not None:
        folder = FLAGS.events_dir
        return ScoreEvents(to_path(folder) if folder else None)
    try:
        return ScoreEvents(to_path(FLAGS.train_dir) / "events")
    except WriteError as error:
        print(f"NOTE: no events of TensorBoard: {error}")
        return ScoreEvents(None)
