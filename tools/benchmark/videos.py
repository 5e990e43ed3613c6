"""Videos of the benchmark's sizes on disk."""

import contextlib
import tempfile
from collections.abc import Iterator

from distill.datasets.synthetic import write_synthetic_data
from distill.settings.schema import RECORD_FORMS, DataSchema, make_schema
from distill.settings.synthetic import SyntheticSettings
from tools.benchmark.plan import Plan, Sizes


def make_schema_of(sizes: Sizes, frame_features: bool = True) -> DataSchema:
    """Returns the layout of records, of frames or of videos, of the sizes."""
    frames = {"max_frames": sizes.max_frames} if frame_features else {}
    return make_schema(
        "yt8m_2018",
        frame_features=frame_features,
        feature_sizes=sizes.feature_sizes,
        num_classes=sizes.num_classes,
        **frames,
    )


@contextlib.contextmanager
def written_videos(
    plan: Plan,
    num_videos: int | None = None,
    record_form: str = RECORD_FORMS[0],
) -> Iterator[list[str]]:
    """Writes full-length synthetic videos; yields the files.

    There are as many as the plan says, or `num_videos`.
    """
    sizes = plan.sizes
    settings = SyntheticSettings(
        split="validate",
        num_videos=num_videos or plan.num_videos,
        feature_sizes=sizes.feature_sizes,
        num_classes=sizes.num_classes,
        max_frames=sizes.max_frames,
        min_frames=sizes.max_frames,
        record_form=record_form,
    )
    with tempfile.TemporaryDirectory(prefix="distill-benchmark-") as folder:
        yield [str(path) for path, _ in write_synthetic_data(settings, folder)]
