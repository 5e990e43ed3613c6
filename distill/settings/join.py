"""Settings of joining clips to long videos."""

import dataclasses
import re

from distill.models.options import check_options, option
from distill.settings.schema import DataSchema, record_form_option

# Keys under which a video's record names its clips and their lengths.
IDS_KEY = "clip_ids"
FRAMES_KEY = "clip_frames"


@dataclasses.dataclass(frozen=True)
class JoinSettings:
    """Settings of joining clips to videos.

    `schema` is the clips' layout, and the videos'. The first `max_frames`
    frames of every clip are kept. The last video of a pass may have fewer
    clips than the others.
    """

    schema: DataSchema
    output_prefix: str = option(
        help_text="Beginning of the files' names and of the videos' ids, "
        "another for each split: train, validate."
    )
    num_clips: int = option(
        help_text="Clips a video, one after another; of each its first "
        "--max_frames.",
        minimum=1,
    )
    record_form: str = record_form_option()
    num_shards: int = option(4, "Files to write.", minimum=1)
    repeats: int = option(
        1, "Passes over the clips, each in an order of its own.", minimum=1
    )
    seed: int = option(0, "Seed of the clips' orders.", minimum=0)

    def __post_init__(self) -> None:
        """Checks the fields."""
        check_options(self)
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", self.output_prefix):
            raise ValueError(
                "output_prefix must be made of letters, digits, _, - and ., "
                f"got {self.output_prefix!r}."
            )
        self.schema.check_rewritable((IDS_KEY, FRAMES_KEY))
