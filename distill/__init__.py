"""Teacher-student distillation for video classification.

Names are imported on their first use, so that `import distill` is quick and
loads no TensorFlow. `distill/__init__.pyi` says where each is defined.
"""

import ast
import pkgutil
from pathlib import Path
from typing import Any

# From a name to `module:attribute`.
_NAMES = {
    alias.asname or alias.name: f"{statement.module}:{alias.name}"
    for statement in ast.parse(
        Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    ).body
    if isinstance(statement, ast.ImportFrom)
    for alias in statement.names
}

__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("distill")
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = pkgutil.resolve_name(_NAMES[name])
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
