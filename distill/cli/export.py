"""Exports a trained network to files that other programs run."""

import functools

from distill.cli import flag_groups as groups
from distill.cli import scoring
from distill.cli.entry_point import start_tensorflow
from distill.cli.next_command import command
from distill.cli.settings_flags import FLAGS, Flag, read, require, specs
from distill.settings.frame_cost import FrameCost
from distill.settings.run_options import RunOptions
from distill.settings.training import TrainingSettings

_FORMATS = ("saved_model", "keras", "onnx", "litert")
_PRECISIONS = ("float32", "float16", "int8")

OWN_FLAGS = (
    Flag("export_dir", "Directory of the artifacts; an export is replaced."),
    Flag(
        "role",
        "Network of the checkpoint, where it holds both: student or teacher.",
        choices=("student", "teacher"),
    ),
    Flag("formats", f"Of {', '.join(_FORMATS)}.", tuple[str, ...], _FORMATS),
    Flag(
        "precisions",
        f"Types of the weights: {', '.join(_PRECISIONS)}, int8_static.",
        tuple[str, ...],
        _PRECISIONS,
    ),
    Flag(
        "calibration_data_pattern",
        "Videos for int8_static, in other files than --eval_data_pattern.",
    ),
    Flag(
        "archive",
        "Artifact to pack with model_flags.json into ARCHIVE.tar.gz, such as "
        "saved_model_float16.",
    ),
    Flag(
        "max_bytes",
        "The archive's most bytes: the YouTube-8M challenge's 1 GB.",
        int,
        1_000_000_000,
    ),
    *specs(FrameCost),
)
FLAG_GROUPS = (
    OWN_FLAGS,
    groups.CLASS_NAMES,
    groups.EVALUATION_FILES,
    groups.LAYOUT,
    specs(TrainingSettings, "batch_size"),
    groups.BUDGET,
    groups.CHECKPOINT,
    specs(RunOptions, "on_bad_record", "top_k"),
    groups.GPU,
)


def main() -> None:
    """Writes the artifacts, compares them and prints the card."""
    require("export_dir", "eval_data_pattern")

    start_tensorflow(FLAGS.gpu)
    from distill.checkpoints.checkpoint import choose_checkpoint
    from distill.deployment.archive import write_archive
    from distill.deployment.export import export

    checkpoint = str(choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir))
    card = export(
        checkpoint,
        FLAGS.export_dir,
        FLAGS.eval_data_pattern,
        role=FLAGS.role,
        formats=FLAGS.formats,
        precisions=FLAGS.precisions,
        calibration_pattern=FLAGS.calibration_data_pattern,
        frame_budget=scoring.scored_budget(FLAGS.role),
        class_names_file=FLAGS.class_names_file,
        top_k=FLAGS.top_k,
        frame_cost=read(FrameCost),
        say=functools.partial(print, flush=True),
        **scoring.reading_options(checkpoint),
    )
    if FLAGS.archive is not None:
        print(write_archive(FLAGS.export_dir, FLAGS.archive, FLAGS.max_bytes))
    following = command(
        "infer",
        {
            "artifact": f"{FLAGS.export_dir}/{card['artifacts'][0]['path']}",
            "input_data_pattern": FLAGS.eval_data_pattern,
            "output_file": f"{FLAGS.export_dir}.csv",
        },
    )
    print(f"result: {FLAGS.export_dir}", f"next: {following}", sep="\n")
