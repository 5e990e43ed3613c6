"""The cost of a label: its footage, its rows, its table and its plot."""

import dataclasses

import numpy as np
import pytest

from distill.settings.extraction import ExtractorSettings
from distill.settings.video import VideoSettings
from distill.video.decoder import VideoFile
from tests.extraction.small_networks import MACS, write_keras
from tests.video.drawn_videos import draw_video, number_in
from tools.benchmark import footage, video
from tools.benchmark.plan import SMALL
from tools.benchmark.video_report import report_costs

# Keras saves models by NumPy's older interface.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Returns a clip of 2 s with key frames at 0, 0.8 and 1.6 s."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    options = {"g": "20", "bf": "2", "x264-params": "scenecut=0"}
    return draw_video(path, range(0, 2_000, 40), options=options.items())


def numbers_of(path, rate=25.0):
    """Returns the number that each frame shows."""
    opened = VideoFile(path, VideoSettings(frames_per_second=rate))
    frames = opened.frames(range(opened.num_frames), (64, 64))
    return [number_in(frame) for frame in frames]


def test_a_clip_is_repeated_up_to_its_last_key_frame(clip, tmp_path):
    whole = tmp_path / "whole.mp4"
    footage.repeat_clip(clip, whole, 5.0)
    # The first key frame at 5 s or later is that of frame 140.
    assert numbers_of(whole) == (list(range(40)) * 4)[:140]
    assert footage.count_key_seconds(whole) == pytest.approx(0.8)
    # No frame is coded anew: those of the clip are there, bit for bit.
    first, second = (
        list(VideoFile(p, VideoSettings()).frames([0, 1], (64, 64)))
        for p in (clip, whole)
    )
    np.testing.assert_array_equal(first, second)


def test_a_clip_is_encoded_with_key_frames_at_a_distance(clip, tmp_path):
    coded, whole = tmp_path / "coded.mp4", tmp_path / "whole.mp4"
    footage.encode_clip(clip, coded, 0.6)
    footage.repeat_clip(coded, whole, 6.0)
    assert footage.count_key_seconds(whole) == pytest.approx(0.6)
    # Four distances of 15 frames: the clip's 50, and ten again; the last key
    # frame ends what is repeated.
    unit = [*range(45)]
    assert numbers_of(whole) == (unit * 4)[:150]


@pytest.mark.slow
def test_rows_tell_stages_and_macs_by_budget(clip, tmp_path, capsys):
    network = write_keras(tmp_path / "network.keras")
    settings = ExtractorSettings(f"keras:{network}", image_scale="symmetric")
    plan = dataclasses.replace(
        SMALL, clip=str(clip), extractor=settings, repeats=1
    )
    rows = video.measure(plan)
    costs = [row.details for row in rows]
    assert [cost["frames"] for cost in costs] == [1, 1, 6, 6]
    for row, cost in zip(rows, costs, strict=True):
        assert cost["extraction_macs"] == MACS * cost["frames"]
        assert min(cost["opening"], cost["decoding"]) > 0
        assert row.figure == cost["decoding"] + cost["extraction"]
        assert cost["end_to_end"] > 0 < cost["classification"]
    assert [row.over_baseline for row in rows[2:]] == [1, 1]
    pytest.importorskip("matplotlib", reason="it comes with the extra study")
    report_costs(rows, str(tmp_path / "figures.json"))
    assert (tmp_path / "figures.png").read_bytes()[1:4] == b"PNG"
    table = capsys.readouterr().out
    assert "| clip, as it is: 0.80 s | 1 |" in table
    assert "| clip, encoded anew: 0.60 s | 6 |" in table
    assert "| 100 % |" in table


def test_without_a_clip_it_says_what_to_give(tmp_path):
    with pytest.raises(ValueError, match="Give --clip: real footage"):
        video.measure(SMALL)
    with pytest.raises(ValueError, match="There is no clip"):
        video.measure(
            dataclasses.replace(SMALL, clip=str(tmp_path / "none.mp4"))
        )
