"""Sets the thresholds of a cascade for a wanted mean number of frames."""

from distill.cli import flag_groups as groups
from distill.cli import scoring
from distill.cli.entry_point import start_tensorflow, write_flags
from distill.cli.settings_flags import FLAGS, Flag, require

OWN_FLAGS = (
    Flag(
        "calibration_data_pattern",
        "Globs of the videos whose probabilities (no labels) set the "
        "thresholds. Default: --eval_data_pattern.",
    ),
    Flag(
        "cascade_budgets",
        "Frames of each stage, the fewest first.",
        tuple[int, ...],
    ),
    Flag("mean_frames", "Mean frames a video wanted.", float),
)
FLAG_GROUPS = (
    groups.EVALUATION_FILES,
    OWN_FLAGS,
    groups.CASCADE_FILE,
    groups.LAYOUT,
    groups.READING,
    groups.CHECKPOINT,
    groups.GPU,
)


def main() -> None:
    """Calibrates the student of --checkpoint, or of --train_dir's newest."""
    require("cascade_budgets", "mean_frames", "cascade_file")

    start_tensorflow(FLAGS.gpu)
    from distill.checkpoints.checkpoint import choose_checkpoint
    from distill.evaluation.cascade import calibrate
    from distill.networks.loading import load_network
    from distill.networks.network import Network

    checkpoint = str(choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir))
    reader = scoring.evaluation_reader(
        checkpoint,
        need_labels=False,
        pattern=FLAGS.calibration_data_pattern,
    )
    network = load_network(
        checkpoint,
        "student",
        FLAGS.mixed_precision,
        segments=reader.schema.segment_labels,
    )
    if not isinstance(network, Network):
        raise ValueError("An ensemble cannot be run as a cascade.")
    cascade = calibrate(
        network, reader, FLAGS.cascade_budgets, FLAGS.mean_frames
    )
    cascade.write(FLAGS.cascade_file)
    write_flags(FLAGS.cascade_file)
    for frames, threshold in zip(
        cascade.budgets, cascade.thresholds, strict=False
    ):
        print(f"{frames} frames are enough from {threshold:.4f} on")
    print(f"wrote {FLAGS.cascade_file}")
