"""Every model at its default sizes: parameters and cost, without weights."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from distill.models import registry
from distill.networks.network import measure_network
from distill.settings.run import NetworkSettings
from distill.settings.schema import DataSchema


@dataclasses.dataclass(frozen=True)
class ModelSize:
    """A model of the registry as it would be built for a data set.

    Attributes:
      name: Its name.
      level: `frame` or `video`.
      arguments: Its own sizes.
      classifier: Name of the classifier on top.
      classifier_arguments: The classifier's sizes.
      parameters: Numbers that its weights hold; None if it cannot be built.
      macs: MACs of one video of the greatest length; None
        if it cannot be built.
      problem: Why its default sizes do not fit the data, if they do not.
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
    schema: DataSchema, names: Iterable[str] | None = None
) -> list[ModelSize]:
    """Measures models at their default sizes.

    Args:
      schema: Feature widths, classes and frames. A video-level model reads
        all features as one vector, whatever the schema's level.
      names: Models of the registry; None for all, in the registry's order.

    Raises:
      ValueError: A name is unknown.
    """
    names = list(registry.MODELS if names is None else names)
    levels = {name: registry.get_entry(name).level for name in names}
    return [_measure(name, levels[name], schema) for name in names]


def _measure(name: str, level: str, schema: DataSchema) -> ModelSize:
    size = _describe(name, level)
    schema = dataclasses.replace(schema, frame_features=level == "frame")
    settings = NetworkSettings(name, registry.resolve_arguments(name, {}))
    try:
        measured = measure_network(settings, schema)
    except ValueError as error:
        return dataclasses.replace(size, problem=str(error))
    return dataclasses.replace(size, **dataclasses.asdict(measured))


def _describe(name: str, level: str) -> ModelSize:
    """Returns a model's default sizes, its classifier's apart."""
    arguments = registry.resolve_arguments(name, {})
    classifier = arguments.pop(
        "video_level_classifier_model", registry.get_entry(name).classifier
    )
    of_classifier = {
        key: arguments.pop(key)
        for key in registry.CLASSIFIERS[classifier].arguments
    }
    return ModelSize(name, level, arguments, classifier, of_classifier)
