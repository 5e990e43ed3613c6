"""Exports a trained network to files that other programs run."""

import dataclasses

from distill.cli import flag_groups as groups
from distill.cli import scoring
from distill.cli.entry_point import start_tensorflow
from distill.cli.experiment import class_names
from distill.cli.settings_flags import FLAGS, require, specs
from distill.models.options import option
from distill.settings.run_options import ReadingOptions, RunOptions
from distill.settings.training import TrainingSettings

_FORMATS = ("saved_model", "keras", "onnx", "litert")
_PRECISIONS = ("float32", "float16", "int8")


@dataclasses.dataclass(frozen=True)
class ExportFlags:
    """Flags of the export."""

    export_dir: str | None = option(
        None, "Directory of the artifacts; an export is replaced."
    )
    role: str | None = option(
        None,
        "Network of the checkpoint, where it holds both.",
        choices=("student", "teacher"),
    )
    formats: tuple[str, ...] = option(_FORMATS, f"Of {', '.join(_FORMATS)}.")
    precisions: tuple[str, ...] = option(
        _PRECISIONS, f"Number formats of the weights: {', '.join(_PRECISIONS)}."
    )
    archive: str | None = option(
        None,
        "Artifact to pack with model_flags.json into ARCHIVE.tar.gz, such as "
        "saved_model_float16.",
    )
    max_bytes: int = option(
        1_000_000_000,
        "The archive's most bytes: the YouTube-8M challenge's 1 GB.",
    )


FLAG_GROUPS = (
    specs(ExportFlags),
    groups.CLASS_NAMES,
    groups.EVALUATION_FILES,
    groups.LAYOUT,
    specs(ReadingOptions),
    specs(TrainingSettings, "batch_size"),
    groups.BUDGET,
    groups.CHECKPOINT,
    specs(RunOptions, "top_k"),
    groups.GPU,
)


def main() -> None:
    """Writes the artifacts, compares them and prints the card."""
    require("export_dir", "eval_data_pattern")

    start_tensorflow(FLAGS.gpu)
    from distill.checkpoints.checkpoint import choose_checkpoint
    from distill.deployment.archive import write_archive
    from distill.deployment.artifacts import choose_kinds
    from distill.deployment.export import Export, choose_network

    kinds = choose_kinds(FLAGS.formats, FLAGS.precisions)
    checkpoint = str(choose_checkpoint(FLAGS.checkpoint, FLAGS.train_dir))
    role = choose_network(checkpoint, FLAGS.role)
    reader = scoring.evaluation_reader(checkpoint, need_labels=True)
    export = Export(
        checkpoint,
        role,
        scoring.load_scored_network(checkpoint, role),
        reader,
        FLAGS.eval_data_pattern,
        class_names(reader.schema.num_classes),
        FLAGS.top_k,
    )
    for line in export.write(FLAGS.export_dir, kinds):
        print(line, flush=True)
    if FLAGS.archive is not None:
        print(write_archive(FLAGS.export_dir, FLAGS.archive, FLAGS.max_bytes))
