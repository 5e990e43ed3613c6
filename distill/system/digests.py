"""SHA-256 of files, as `sha256sum` prints it."""

import hashlib
from pathlib import Path

from distill.system.storage import to_path


def path_hash(path: str | Path) -> str:
    """Returns the SHA-256 of a file, or of all names and files of a folder."""
    path = to_path(path)
    if path.is_file():
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path)}\n{path_hash(file)}\n".encode())
    return digest.hexdigest()
