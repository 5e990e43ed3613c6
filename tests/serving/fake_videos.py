"""Video files for the tests' predictor, and features that are known."""

import dataclasses

import numpy as np

from distill.extraction.video_queue import VideoQueue
from distill.settings.video import VideoSettings
from tests.video.drawn_videos import draw_video, number_in

VIDEO = "/v1/models/student:predict_video"
PER_SECOND = 25


def features_of(numbers):
    """Returns float32 `[numbers, 4]` in [-1, 1], known without any video."""
    numbers = np.asarray(numbers, np.float32)
    return np.stack([np.sin(numbers * k) for k in (0.1, 0.2, 0.3, 0.7)], axis=1)


class NumberExtractor:
    """Reads the number that each frame shows.

    Attributes:
      begun: Told that a video has begun; None for nobody.
      gate: Waits behind the first frame of a video; None for no wait.
    """

    frames_per_second = 1.0

    def __init__(self, names=("rgb", "audio"), sizes=(3, 1)):
        self.feature_names, self.feature_sizes = names, sizes
        self.begun = self.gate = None

    def features(self, video, numbers):
        shown = []
        for frame in video.frames(numbers, (64, 64)):
            shown.append(number_in(frame))
            if len(shown) == 1 and self.begun is not None:
                self.begun()
            if len(shown) == 1 and self.gate is not None:
                self.gate.wait()
        values = features_of(shown)
        return {"rgb": values[:, :3], "audio": values[:, 3:]}


def video_queue(extractor=None, processes=2, queue=16, **limits):
    """Returns what extracts the features of video files."""
    settings = dataclasses.replace(VideoSettings(), **limits)
    return VideoQueue(
        extractor or NumberExtractor(), settings, processes, queue
    )


def draw_seconds(path, seconds):
    """Draws a video of 25 frames a second."""
    times = range(0, 1000 * seconds, 1000 // PER_SECOND)
    return draw_video(path, times, options={"g": "25"}.items())
