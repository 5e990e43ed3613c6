"""Artifacts of a student with random weights, to serve in tests."""

import shutil
from pathlib import Path

from distill.deployment.interface import CARD
from distill.system.atomic_files import replace_directory

_TOP_K = 20


def write_student(directory: Path, name: str, seed: int) -> Path:
    """Exports a hierarchical LSTM for AudioSet, with weights of a seed.

    Args:
      directory: The export; an earlier one is replaced.
      name: The artifact, such as `model.onnx` or `saved_model`.
      seed: Seed of the weights.

    Returns:
      The path of the artifact.
    """
    import keras

    from distill.deployment.artifacts import KINDS, ArtifactSource
    from distill.deployment.card import write_json
    from distill.deployment.converted_formats import quiet_converters
    from distill.deployment.interface import VideoInterface
    from distill.models import registry
    from distill.models.presets import SMALL
    from distill.networks.network import build_network
    from distill.settings.class_names import CLASS_NAMES, write_class_names
    from distill.settings.run import NetworkSettings
    from distill.settings.schema import make_schema

    schema = make_schema("audioset")
    model = "HierarchicalLstmModel"
    arguments = registry.resolve_arguments(model, {}, SMALL)
    keras.utils.set_random_seed(seed)
    network = build_network(
        NetworkSettings(model, arguments), schema, "student"
    )
    names = tuple(f"class {index}" for index in range(schema.num_classes))
    interface = VideoInterface(schema, network.budget, names)
    (kind,) = (kind for kind in KINDS if kind.name == name)
    with replace_directory(directory, CARD) as folder:
        with quiet_converters():
            kind.write(
                folder / name,
                ArtifactSource(network.raw_model(), interface, _TOP_K),
            )
        write_class_names(folder / CLASS_NAMES, names)
        card = {"interface": interface.to_json(), "artifacts": [{"path": name}]}
        write_json(folder / CARD, card)
    return directory / name


def put_in_place(export: Path, place: Path) -> None:
    """Replaces an export by a copy of another one, as `export` does."""
    with replace_directory(place, CARD) as folder:
        shutil.copytree(export, folder, dirs_exist_ok=True)
