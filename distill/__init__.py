"""What is done with models: data, training, metrics, evaluation, deployment."""

from typing import Any

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: entry points import this package at their start.
    if name == "Predictor":
        from distill.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
