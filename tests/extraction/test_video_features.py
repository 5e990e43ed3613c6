"""What a network reads of a video file is what it reads of whole records."""

import os
import signal
import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from distill.extraction.video_features import VideoFeatures, needed_frames
from distill.models.frame_budget import FrameBudget
from distill.models.raw_video_model import RawVideoModel
from distill.models.registry import build_model
from distill.settings.schema import make_schema
from distill.settings.video import BadVideoError, VideoSettings
from tests.datasets.test_extracted_data import NumberExtractor, features_of
from tests.video.drawn_videos import draw_video

SCHEMA = make_schema(
    "audioset",
    feature_names=("rgb",),
    feature_sizes=(4,),
    num_classes=3,
    max_frames=12,
)
BUDGETS = [
    FrameBudget(),
    FrameBudget.of(every_n=5),
    *(
        FrameBudget.of(selection=name, num_frames=4)
        for name in (
            *("uniform_k", "first_k", "middle_k", "last_k", "nested_k"),
            *("first_middle_last_k", "segment_means"),
        )
    ),
]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    return draw_video(path, range(0, 9_000, 40), options={"g": "25"}.items())


def features(budget=BUDGETS[1], extractor=None, schema=SCHEMA, **limits):
    return VideoFeatures(
        extractor or NumberExtractor(),
        schema,
        budget,
        VideoSettings(**limits),
        num_processes=2,
    )


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda budget: budget.name)
def test_the_network_reads_no_other_frame(budget, video):
    extractor = NumberExtractor()
    with features(budget, extractor) as reader:
        ((path, future),) = reader.of([video])
        few = future.result()
    (taken,) = extractor.taken
    whole = features_of(25 * np.arange(9))
    assert path == video
    np.testing.assert_array_equal(few[taken], whole[taken])
    assert not np.delete(few, taken, axis=0).any()
    assert few.dtype == np.float32
    needs_all = budget.keeps_all or budget.averages
    assert len(taken) == (9 if needs_all else 4 if budget.num_frames else 1)
    num_inputs = budget.num_inputs(12)
    model = RawVideoModel(
        build_model(
            "PooledNetworkModel",
            arguments={"hidden_sizes": "5"},
            num_classes=3,
            feature_sizes=(4,),
            max_frames=num_inputs,
        ),
        budget,
        video_frames=12,
        model_frames=num_inputs,
    )
    predictions = [
        model(
            {
                "frames": np.pad(each, [(0, 3), (0, 0)])[None],
                "num_frames": np.array([9]),
            }
        )
        for each in (few, whole)
    ]
    np.testing.assert_array_equal(*predictions)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 11, 12])
def test_short_videos_give_what_they_have(num_frames):
    for budget in BUDGETS:
        found = needed_frames(num_frames, budget, 12)
        assert found == sorted(set(found))
        assert 1 <= len(found) <= num_frames
        assert max(found) < num_frames


def test_errors_belong_to_their_video(video, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"none")
    with features() as reader:
        found = list(reader.of([video, bad, tmp_path / "no.mp4", video]))
        assert [path for path, _ in found][1] == bad
        first, second, third, last = [future for _, future in found]
        np.testing.assert_array_equal(first.result(), last.result())
        with pytest.raises(BadVideoError, match=r"bad\.mp4: FFmpeg"):
            second.result()
        with pytest.raises(FileNotFoundError, match=r"no\.mp4"):
            third.result()


def test_leaving_ends_what_has_begun(video):
    begun = threading.Event()

    class Waiting(NumberExtractor):
        def features(self, video, numbers):
            os.kill(reader._processes._all[0]._process.pid, signal.SIGSTOP)
            begun.set()
            return super().features(video, numbers)

    with features(extractor=Waiting()) as reader:
        found = list(reader.of([video]))
        begun.wait()
    with pytest.raises(CancelledError):
        found[0][1].result()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"feature_sizes": (5,)}, "reads the feature 'rgb' of 5 numbers"),
        ({"feature_names": ("audio",)}, "reads the feature 'audio'"),
        ({"segment_labels": True, "max_frames": 5}, "this one reads segments"),
    ],
)
def test_another_network_is_refused(change, words):
    fields = {
        "feature_names": ("rgb",),
        "feature_sizes": (4,),
        "num_classes": 3,
    } | change
    with pytest.raises(ValueError, match=words):
        features(schema=make_schema("audioset", **fields))
