"""The check of an artifact before its runtime sees it."""

import importlib
from pathlib import Path

from distill.deployment.artifact_checks.refusal import RefusedError
from distill.deployment.interface import CARD, artifact_rows, read_card
from distill.system.digests import path_hash
from distill.system.error_lines import first_line

# Each is imported where its format is, because it imports what that needs.
_CHECKS = {
    "": ("saved_model", "check_saved_model"),
    ".keras": ("keras_file", "check_keras"),
    ".onnx": ("onnx_file", "check_onnx"),
    ".tflite": ("litert_file", "check_litert"),
}
_PACKAGE = "distill.deployment.artifact_checks"


def check_artifact(path: Path, local: Path) -> None:
    """Checks that an artifact is what an export writes.

    Args:
      path: The artifact, a SavedModel's directory or a file.
      local: Its local copy.

    Raises:
      ValueError: It is damaged, another one than its card describes, or holds
        what exports do not; in one line.
    """
    module, function = _CHECKS["" if local.is_dir() else path.suffix]
    try:
        _check_digest(path, local)
        getattr(importlib.import_module(f"{_PACKAGE}.{module}"), function)(
            local
        )
    except RefusedError as error:
        raise ValueError(
            f"{path} cannot be loaded: {error}. (--trust_artifact skips this "
            "check.)"
        ) from error
    except ValueError as error:
        if str(error).startswith(str(path.parent / CARD)):
            raise
        raise _damaged(path, error) from error
    except Exception as error:
        raise _damaged(path, error) from error


def _check_digest(path: Path, local: Path) -> None:
    """Checks the SHA-256 that the card, if there is one, has of an artifact."""
    if not (path.parent / CARD).is_file():
        return
    card = read_card(path.parent, [])
    rows = artifact_rows(path.parent, card) if "artifacts" in card else {}
    expected = rows.get(path.name, {}).get("sha256")
    if expected is not None and path_hash(local) != expected:
        raise RefusedError(
            f"it is damaged, or another one than its {CARD} describes: its "
            "SHA-256 differs"
        )


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} cannot be loaded: it is damaged ({first_line(error)})."
    )
