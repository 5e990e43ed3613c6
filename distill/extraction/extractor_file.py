"""The file that says how features were extracted: `extractor.json`."""

import dataclasses
import json
from pathlib import Path

from distill.extraction.extractor import VideoExtractor
from distill.settings.extraction import ExtractorSettings
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object
from distill.system.storage import to_path
from distill.system.typed_json import read_dataclass

EXTRACTOR = "extractor.json"


def write_extractor(
    path: Path, settings: ExtractorSettings, extractor: VideoExtractor
) -> None:
    """Writes the settings and the identity of an extractor."""
    fields = {
        "settings": dataclasses.asdict(settings),
        "identity": extractor.identity(),
    }
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(fields, indent=2) + "\n")


def read_extractor(path: str | Path) -> VideoExtractor:
    """Returns the extractor that a file describes.

    Raises:
      ValueError: The file is damaged, or a network's file is missing or is
        another one than when the file was written.
    """
    path = to_path(path)
    try:
        fields = read_json_object(path)
        settings = read_dataclass(
            ExtractorSettings, fields.get("settings"), "settings"
        )
        identity = fields["identity"]
        rate = float(identity["frames_per_second"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} describes no extractor: {error}.") from error
    extractor = VideoExtractor(settings, rate)
    for name, found in extractor.identity().items():
        if identity.get(name) != found:
            raise ValueError(
                f"{path} was written with {name}={identity.get(name)!r}, but "
                f"now it is {found!r}."
            )
    return extractor
