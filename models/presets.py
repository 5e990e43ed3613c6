"""Presets: the sizes of networks where the user gives none."""

from typing import Any

from distill.models.argument_checks import check_choice
from distill.models.frame_budget import ALL_FRAMES, FrameBudget

SMALL, PAPER = PRESETS = ("small", "paper")
# Sizes for some hundred to some thousand videos, by flag name. Those of
# `paper` are the fields' defaults in `distill.models.configs`.
SMALL_SIZES: dict[str, Any] = {
    "dbof_cluster_size": 64,
    "dbof_hidden_size": 64,
    "fv_cluster_size": 8,
    "fv_hidden_size": 64,
    "gru_cells": 64,
    "gru_layers": 1,
    "hidden_size": 64,
    "hidden_sizes": "64",
    "input_batch_norm": True,
    "lstm_cells": 64,
    "lstm_layers": 1,
    "netvlad_cluster_size": 16,
    "netvlad_hidden_size": 64,
    "nextvlad_cluster_size": 16,
    "nextvlad_groups": 2,
    "nextvlad_hidden_size": 64,
    "num_first_hidden_units": 64,
    "num_hidden_units": 64,
    "num_inputs_to_lstm": 0,
    "stream_cells": "64",
    "stream_head_size": 64,
    "stream_input_size": 64,
    "tower_sizes": "64",
}
_SIZES: dict[str, dict[str, Any]] = {SMALL: SMALL_SIZES, PAPER: {}}
_BUDGETS = {SMALL: FrameBudget.every(5), PAPER: ALL_FRAMES}


def preset_sizes(preset: str) -> dict[str, Any]:
    """Returns the sizes, by flag name, that differ from the references'.

    Raises:
      ValueError: There is no such preset.
    """
    return _SIZES[check_choice("preset", preset, PRESETS)]


def taught_budget(preset: str) -> FrameBudget:
    """Returns the budget of a student that has a teacher."""
    return _BUDGETS[check_choice("preset", preset, PRESETS)]
