"""Scores a written model on written videos, without TensorFlow.

For a machine that has Keras and a GPU, but no TensorFlow: `python -m
tools.backends evaluate --arrays_dir=DIR` writes both beside TensorFlow, and
`KERAS_BACKEND=jax python -m tools.backends score --arrays_dir=DIR` scores them.
"""

from distill.cli.settings_flags import FLAGS, Flag, require
from distill.system.storage import local_path
from tools.backends.flags import ARRAYS_DIR
from tools.backends.process import check_backends

FLAG_GROUPS = (
    [
        ARRAYS_DIR,
        Flag("metrics_file", "JSON file for the metrics."),
        Flag("top_k", "Classes a video that enter GAP.", int, 20, minimum=1),
    ],
)


def main() -> None:
    """Prints the scores, the device and the rate."""
    require("arrays_dir")
    import keras

    check_backends([keras.backend.backend()])
    from distill.evaluation.metrics_files import print_scores, write_metrics
    from tools.backends.scoring import score_arrays

    scores = score_arrays(
        local_path("arrays_dir", FLAGS.arrays_dir), FLAGS.top_k
    )
    scores["role"] = scores["backend"]
    print_scores([scores])
    if FLAGS.metrics_file:
        write_metrics(FLAGS.metrics_file, [scores])
