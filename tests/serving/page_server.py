"""Serves the tests' predictor with video files, and classes of hostile names.

Its network selects two frames of a video.
"""

import dataclasses
import functools

from fake_predictor import NUM_CLASSES, fake_predictor
from fake_videos import video_queue

from distill.models.frame_budget import FrameBudget
from distill.serving.server import announce, open_socket, serve
from distill.settings.service import ServiceOptions

# The best class is the last one.
NAMES = (
    *(f"class {index}" for index in range(NUM_CLASSES - 2)),
    "</li><script>document.title = 'changed'</script>&amp;",
    "<img src=x onerror=\"document.title='changed'\">",
)
MAX_VIDEO_BYTES = 600_000


def load():
    """Returns the tests' predictor, with the hostile names."""
    predictor = fake_predictor()
    predictor.interface = dataclasses.replace(
        predictor.interface,
        class_names=NAMES,
        budget=FrameBudget.of(selection="uniform_k", num_frames=2),
    )
    return predictor


if __name__ == "__main__":
    options, listener = ServiceOptions(), open_socket("127.0.0.1", 0)
    say = functools.partial(announce, listener, options, "fake.onnx")
    load_videos = functools.partial(
        video_queue, max_video_bytes=MAX_VIDEO_BYTES
    )
    serve(load, options, listener, lambda server: say(), load_videos)
