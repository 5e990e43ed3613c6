"""The models by name, built from their sizes.

Importing this module imports no Keras, so that names and defaults can be
listed and checked at once.
"""

import dataclasses
import pkgutil
from collections.abc import Mapping
from typing import Any

from distill.models.argument_checks import check_choice
from distill.models.configs import (
    CLASSIFIERS,
    MODELS,
    ArgumentValue,
    ClassifierChoice,
    ModelConfig,
    ModelEntry,
    before_it_was_a_setting,
)
from distill.models.options import flag_name
from distill.models.presets import PAPER, preset_sizes

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def get_entry(name: str) -> ModelEntry:
    """Returns the entry of the model `name`; ValueError if unknown."""
    return MODELS[check_choice("model", name, MODELS)]


def argument_fields() -> dict[str, dataclasses.Field]:
    """Returns every setting of all models and classifiers, by flag name.

    A flag that several models share has one field; the default is that of
    the first model, type, help and choices are the same for all.
    """
    entries = (*MODELS.values(), *CLASSIFIERS.values())
    configs: list[type[ModelConfig]] = [
        ClassifierChoice,
        *(entry.config for entry in entries),
    ]
    fields: dict[str, dataclasses.Field] = {}
    for config in configs:
        for field in dataclasses.fields(config):
            fields.setdefault(flag_name(field), field)
    return dict(sorted(fields.items()))


def resolve_arguments(
    name: str, given: Mapping[str, ArgumentValue], preset: str = PAPER
) -> dict[str, ArgumentValue]:
    """Returns all arguments of a model: those given over those of a preset.

    Arguments of other models or classifiers are ignored.

    Args:
      name: A model's name.
      given: Arguments by flag name.
      preset: One of `distill.models.presets.PRESETS`.

    Raises:
      ValueError: `name`, the classifier, an argument or the preset is unknown.
    """
    entry = get_entry(name)
    for argument in given:
        check_choice("model argument", argument, argument_fields())
    values = dict(entry.arguments)
    classifier = entry.classifier
    if classifier is None:
        choice = ClassifierChoice.from_arguments(given)
        classifier = choice.classifier
        values["video_level_classifier_model"] = classifier
    values |= CLASSIFIERS[classifier].arguments
    for stated in (preset_sizes(preset), given):
        values |= {key: stated[key] for key in stated if key in values}
    return values


def restore_arguments(
    name: str, stored: Mapping[str, ArgumentValue]
) -> dict[str, ArgumentValue]:
    """Returns the stored arguments of a model, perhaps of an older version."""
    return {**before_it_was_a_setting(get_entry(name).config), **stored}


def complete_arguments(
    name: str, arguments: Mapping[str, ArgumentValue]
) -> dict[str, ArgumentValue]:
    """Returns all arguments of a model: those given over its own defaults."""
    choice = "video_level_classifier_model"
    chosen = {choice: arguments[choice]} if choice in arguments else {}
    return {**resolve_arguments(name, chosen), **arguments}


def read_configs(
    name: str, arguments: Mapping[str, ArgumentValue]
) -> tuple[ModelConfig, str, ModelConfig]:
    """Returns the settings that all arguments of a model stand for.

    Returns:
      The model's settings, the name of its classifier and the settings of
      that.

    Raises:
      ValueError: A value is not accepted.
    """
    entry = get_entry(name)
    chosen = arguments.get("video_level_classifier_model", entry.classifier)
    classifier = str(chosen)
    return (
        entry.config.from_arguments(arguments),
        classifier,
        CLASSIFIERS[classifier].config.from_arguments(arguments),
    )


def build_model(
    name: str,
    *,
    arguments: Mapping[str, ArgumentValue],
    num_classes: int,
    feature_sizes: tuple[int, ...],
    max_frames: int,
    model_name: str | None = None,
    precision: str = "float32",
) -> Any:
    """Builds a model, without its weights, from its name and sizes.

    Args:
      name: A model's name.
      arguments: Its sizes, as `resolve_arguments` takes them.
      num_classes: Classes of its predictions.
      feature_sizes: Width of every feature of a frame, in order.
      max_frames: Frames of the longest video it will read.
      model_name: The Keras name of the result.
      precision: `float32` or `bfloat16`, of the computation. Weights are
        float32, and so is the classifier, whose probabilities lie too close
        to 0 and 1 for less.

    Raises:
      ValueError: A name is unknown or sizes do not fit one another.
    """
    config, chosen, classifier_config = read_configs(
        name, resolve_arguments(name, arguments)
    )
    classifier = _load(CLASSIFIERS[chosen].factory)(
        num_classes, classifier_config, name="classifier", dtype="float32"
    )
    return _load(get_entry(name).factory)(
        classifier,
        config,
        feature_sizes=feature_sizes,
        max_frames=max_frames,
        name=model_name,
        dtype=PRECISIONS[check_choice("precision", precision, PRECISIONS)],
    )


def build_autoencoder(
    num_features: int, encoder_sizes: str, precision: str = "float32"
) -> Any:
    """Builds a `FeatureAutoencoder`; `precision` is as in `build_model`."""
    factory = _load("autoencoder:FeatureAutoencoder")
    return factory(
        num_features,
        encoder_sizes,
        name="autoencoder",
        dtype=PRECISIONS[precision],
    )


def add_encoder(model: Any, encoder_sizes: str, freeze_encoder: bool) -> Any:
    """Puts a new encoder before a model that reads codes of its last size."""
    policy = model.dtype_policy
    make_encoder = _load("autoencoder:make_encoder")
    factory = _load("encoded_model:EncodedModel")
    return factory(
        make_encoder(encoder_sizes, dtype=policy),
        model,
        freeze_encoder,
        name=model.name,
        dtype=policy,
    )


def add_attention(model: Any, num_parts: int) -> Any:
    """Puts new attention to the parts of a video before a frame-level model."""
    factory = _load("segment_attention:AttendedModel")
    return factory(num_parts, model, name=model.name, dtype=model.dtype_policy)


def _load(factory: str) -> Any:
    return pkgutil.resolve_name(f"distill.models.{factory}")
