"""Teacher-student distillation for video classification."""

from typing import Any

__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported on first use: every entry point imports this package.
    if name == "Predictor":
        from distill.predictor import Predictor

        return Predictor
    if name == "__version__":
        from importlib.metadata import version

        return version("distill")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
