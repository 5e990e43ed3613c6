"""Scores a checkpoint with the predictions of any Keras backend.

The scores are those of `distill evaluate`: TensorFlow reads the videos, a
process of the backend predicts them. With --arrays_dir it writes the model and
the videos instead, for `score` on a machine without TensorFlow.
"""

from distill.cli import flag_groups as groups
from distill.cli import scoring
from distill.cli.entry_point import start_tensorflow, write_flags
from distill.cli.settings_flags import FLAGS, Flag, require
from distill.system.storage import local_path
from tools.backends.flags import ARRAYS_DIR, BACKENDS, chosen_backends

_SCORING = [flag for flag in groups.SCORING if flag.name in ("role", "top_k")]
FLAG_GROUPS = (
    groups.EVALUATION_FILES,
    groups.LAYOUT,
    groups.READING,
    groups.BUDGET,
    groups.CHECKPOINT,
    _SCORING,
    [
        Flag(
            "metrics_file", "JSON file for the list of the backends' metrics."
        ),
        ARRAYS_DIR,
    ],
    BACKENDS,
    groups.GPU,
)


def main() -> None:
    """Scores the network on each backend and prints the table."""
    require("eval_data_pattern")
    if FLAGS.role == "both":
        raise ValueError("--role must be student or teacher here, got both.")
    backends = chosen_backends()
    start_tensorflow(gpu=-1)  # of this process, which reads
    from distill.checkpoints.checkpoint import choose_checkpoint
    from distill.evaluation.metrics_files import write_metrics
    from distill.networks.loading import load_network
    from tools.backends.evaluation import evaluate_on_backends, write_arrays
    from tools.backends.report import print_evaluations

    checkpoint = str(choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir))
    network = load_network(
        checkpoint,
        FLAGS.role,
        FLAGS.mixed_precision,
        scoring.scored_budget(FLAGS.role),
    )
    reader = scoring.evaluation_reader(checkpoint, need_labels=True)
    if FLAGS.arrays_dir:
        num_videos = write_arrays(
            local_path("arrays_dir", FLAGS.arrays_dir), network, reader
        )
        print(f"wrote {num_videos:,} videos to {FLAGS.arrays_dir}")
        return
    scores = evaluate_on_backends(
        checkpoint,
        FLAGS.role,
        network,
        reader,
        backends,
        FLAGS.gpu,
        FLAGS.top_k,
    )
    print_evaluations(scores)
    if FLAGS.metrics_file:
        write_metrics(FLAGS.metrics_file, scores)
        write_flags(FLAGS.metrics_file)
