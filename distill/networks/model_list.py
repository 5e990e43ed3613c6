"""Every model at its preset's sizes: parameters and cost, without weights."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from distill.models import registry
from distill.models.presets import PAPER
from distill.networks.network import measure_network
from distill.reporting.console import format_number, print_table
from distill.settings.run import NetworkSettings
from distill.settings.schema import DataSchema


@dataclasses.dataclass(frozen=True)
class ModelSize:
    """A model of the registry with its sizes and its cost.

    `macs` are those of a video of the greatest length. If the sizes do not fit
    the data, `problem` says why.
    """

    name: str
    level: str
    arguments: Mapping[str, Any]
    classifier: str
    classifier_arguments: Mapping[str, Any]
    parameters: int | None = None
    macs: int | None = None
    problem: str | None = None


def list_models(
    schema: DataSchema,
    names: Iterable[str] | None = None,
    preset: str = PAPER,
) -> list[ModelSize]:
    """Measures models of the registry at the sizes of a preset.

    A video-level model reads all features as one vector, whatever the schema's
    level. `names` is None for all models.

    Raises:
      ValueError: A name is unknown.
    """
    names = list(registry.MODELS if names is None else names)
    levels = {name: registry.get_entry(name).level for name in names}
    return [_measure(name, levels[name], schema, preset) for name in names]


def _measure(
    name: str, level: str, schema: DataSchema, preset: str
) -> ModelSize:
    arguments = registry.resolve_arguments(name, {}, preset)
    settings = NetworkSettings(name, dict(arguments))
    fixed = registry.get_entry(name).classifier
    classifier = str(arguments.pop("video_level_classifier_model", fixed))
    names = registry.CLASSIFIERS[classifier].arguments
    classifier_arguments = {key: arguments.pop(key) for key in names}
    size = ModelSize(name, level, arguments, classifier, classifier_arguments)
    schema = dataclasses.replace(schema, frame_features=level == "frame")
    try:
        network = measure_network(settings, schema)
    except ValueError as error:
        return dataclasses.replace(size, problem=str(error))
    return dataclasses.replace(
        size, parameters=network.num_parameters, macs=network.macs
    )


def print_models(models: Sequence[ModelSize], schema: DataSchema) -> None:
    """Prints a row for each model, then the sizes that do not fit."""
    print(
        f"{schema.max_frames} frames of {schema.num_features} features, "
        f"{schema.num_classes} classes"
    )
    print_table(
        ("model", "level", "classifier", "parameters", "MACs", "sizes"),
        [
            (
                model.name,
                model.level,
                model.classifier,
                format_number(model.parameters),
                format_number(model.macs),
                _format_sizes(model.arguments),
            )
            for model in models
        ],
        left=(0, 1, 2, 5),
    )
    classifiers = {m.classifier: m.classifier_arguments for m in models}
    for name, sizes in classifiers.items():
        print(f"classifier {name}: {_format_sizes(sizes)}")
    for model in models:
        if model.problem:
            print(f"{model.name} does not fit the data: {model.problem}")


def _format_sizes(sizes: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={size}" for name, size in sizes.items())
