"""Writes a folder of an exported network for Hugging Face's model hub."""

from distill.cli import flag_groups as groups
from distill.cli.settings_flags import FLAGS, Flag, require

OWN_FLAGS = (
    Flag(
        "artifact",
        "The artifact, beside its card, or an archive of both.",
    ),
    Flag("output_dir", "Folder to write; it must be new or empty."),
    Flag(
        "license",
        "The hub's identifier of a license, such as apache-2.0; none: the "
        "folder names no license.",
    ),
)
FLAG_GROUPS = (OWN_FLAGS, groups.TRUST)


def main() -> None:
    """Writes --output_dir; uploads nothing."""
    require("artifact", "output_dir")
    from distill.deployment.package import write_package

    write_package(
        FLAGS.artifact, FLAGS.output_dir, FLAGS.license, FLAGS.trust_artifact
    )
    print(f"{FLAGS.output_dir}: {FLAGS.artifact} with its card")
