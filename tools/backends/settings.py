"""Settings of a comparison of backends."""

import dataclasses
from typing import Any

from distill.models import registry
from distill.models.options import check_options, option
from distill.settings.schema import DataSchema, make_schema

_SMALL_SIZES: dict[str, Any] = {
    "lstm_cells": 8,
    "num_inputs_to_lstm": 4,
    "gru_cells": 8,
    "hidden_size": 8,
    "hidden_sizes": "16,8",
    "tower_sizes": "16,8",
    "stream_input_size": 8,
    "stream_cells": "8,4",
    "dbof_cluster_size": 16,
    "dbof_hidden_size": 8,
    "netvlad_cluster_size": 4,
    "netvlad_hidden_size": 8,
    "fv_cluster_size": 4,
    "fv_hidden_size": 8,
    "nextvlad_cluster_size": 4,
    "nextvlad_groups": 2,
    "nextvlad_hidden_size": 8,
    "gating_reduction": 2,
    "num_hidden_units": 8,
    "num_first_hidden_units": 16,
    "stream_head_size": 16,
}


@dataclasses.dataclass(frozen=True)
class ComparisonSettings:
    """Settings of a comparison.

    Raises:
      ValueError: A value is too small, or a model is unknown.
    """

    models: tuple[str, ...] = option(
        tuple(registry.MODELS), "Models to compare, comma-separated."
    )
    batch_size: int = option(16, "Videos of the batch.", minimum=1)
    frames: int = option(30, "Frames of the longest video.", minimum=1)
    repeats: int = option(
        5, "Timed calls, whose median counts; 0: no times.", minimum=0
    )
    small_sizes: bool = option(
        True,
        "Small models; false: the default sizes on yt8m_2018's features and "
        "classes (all models: 8 GB of temporary files).",
    )

    def __post_init__(self):
        """Checks the fields."""
        check_options(self)
        for name in self.models:
            registry.get_entry(name)

    @property
    def schema(self) -> DataSchema:
        """Feature widths, classes and frames of the videos."""
        sizes: dict[str, Any] = {}
        if self.small_sizes:
            sizes = {"feature_sizes": (16, 8), "num_classes": 10}
        return make_schema("yt8m_2018", max_frames=self.frames, **sizes)

    def arguments(self, name: str) -> dict[str, Any]:
        """Returns all sizes of a model."""
        given = _SMALL_SIZES if self.small_sizes else {}
        return registry.resolve_arguments(name, given)
