"""From the flags' values to the layout of the records."""

import dataclasses
from typing import Any

from absl import flags

from distill.settings.schema import SEGMENT_FRAMES, DataSchema, make_schema

FLAGS = flags.FLAGS


def require(*names: str) -> None:
    """Raises a ValueError that names the flags without a value."""
    missing = [f"--{name}" for name in names if FLAGS[name].value is None]
    if missing:
        raise ValueError(f"Give a value to {', '.join(missing)}.")


def data_schema() -> DataSchema:
    """Returns the layout of the records that the flags describe."""
    return make_schema(
        FLAGS.dataset or "yt8m_2018",
        frame_features=FLAGS.frame_features is not False,
        **_given_schema_fields(),
    )


def data_schema_over(trained: DataSchema) -> DataSchema:
    """Returns a checkpoint's layout with what the flags say over it."""
    if FLAGS.dataset is not None:
        return data_schema()
    given = _given_schema_fields()
    if FLAGS.frame_features is not None:
        given["frame_features"] = FLAGS.frame_features
    return dataclasses.replace(trained, **given)


def data_schema_like(trained: DataSchema) -> DataSchema:
    """Returns a checkpoint's layout with the keys that the flags give.

    Raises:
      ValueError: The flags give widths, classes or frames other than those
        that the checkpoint was trained on.
    """
    schema = data_schema_over(trained)
    for name in (
        "segment_labels",
        "frame_features",
        "feature_sizes",
        "num_classes",
        "max_frames",
    ):
        old, new = getattr(trained, name), getattr(schema, name)
        if old != new:
            raise ValueError(
                f"--{name}: the checkpoint was trained with {old}, the flags "
                f"(--dataset among them) give {new}."
            )
    return schema


def _given_schema_fields() -> dict[str, Any]:
    names = (
        "id_key",
        "labels_key",
        "num_classes",
        "max_frames",
        "segment_labels",
    )
    fields = {name: FLAGS[name].value for name in names}
    fields = {name: fields[name] for name in names if fields[name] is not None}
    if FLAGS.segment_labels:
        fields.setdefault("max_frames", SEGMENT_FRAMES)
    return fields | given_feature_lists()


def given_feature_lists() -> dict[str, tuple]:
    """Returns the names and the widths of the features that flags give."""
    fields: dict[str, tuple] = {}
    if FLAGS.feature_names is not None:
        fields["feature_names"] = tuple(FLAGS.feature_names)
    if FLAGS.feature_sizes is not None:
        try:
            fields["feature_sizes"] = tuple(map(int, FLAGS.feature_sizes))
        except ValueError as error:
            raise ValueError(
                "--feature_sizes must be whole numbers, got "
                f"{FLAGS.feature_sizes}."
            ) from error
    return fields


def whole_numbers(flag: str) -> list[int]:
    """Returns the numbers of a flag that is a list; ValueError for others."""
    numbers = [whole_number(flag, text) for text in FLAGS[flag].value]
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"--{flag} must name each number once: {numbers}.")
    return numbers


def whole_number(flag: str, text: str) -> int:
    """Returns one number of a flag."""
    if not text.strip().isdecimal():
        raise ValueError(f"--{flag} must be whole numbers, got {text!r}.")
    return int(text)
