"""Damaged videos end no caller."""

import random

import numpy as np
import pytest

from distill.settings.video import BadVideoError
from tools.attacks.videos import _decode, attack


def make_attack(folder, num_tries, seed):
    pytest.importorskip("av", reason="comes with the extra video")
    attempts = list(attack(folder, num_tries, random.Random(seed)))
    problems = [str(attempt) for attempt in attempts if attempt.problem]
    assert problems == []
    assert len(attempts) == num_tries
    return [attempt.deed for attempt in attempts]


def test_a_few_damaged_videos_are_decoded_or_refused(tmp_path):
    deeds = make_attack(tmp_path, 12, 1)
    assert any("decoded" in deed for deed in deeds)
    assert any("refused: " in deed for deed in deeds)


@pytest.mark.slow
def test_five_hundred_damaged_videos_are_decoded_or_refused(tmp_path):
    deeds = make_attack(tmp_path, 500, 2)
    assert sum("decoded" in deed for deed in deeds) > 20
    assert sum("refused: " in deed for deed in deeds) > 20


class Video:
    """A video that ends in one way."""

    def __init__(self, frames=(), sound=(), error=None):
        self._frames, self._sound, self._error = frames, sound, error
        self.info = self
        self.num_frames = len(frames)

    def __enter__(self):
        """Fails, or gives itself."""
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *_):
        """Lets every error pass."""

    def open(self, path):
        return self

    def frames(self, numbers, size):
        return iter(self._frames)

    def sound(self, seconds):
        return iter(self._sound)


FRAME = np.zeros((16, 24, 3), np.uint8)


@pytest.mark.parametrize(
    ("video", "problem"),
    [
        (Video([FRAME], [np.zeros(3)]), ""),
        (Video([FRAME.T]), "its frames have the shapes {(3, 24, 16)}"),
        (Video([FRAME], [np.array([np.nan])]), "the sound is not finite"),
        (Video(error=BadVideoError("a.mp4: it is cut.")), ""),
        (Video(error=BadVideoError("it is cut.")), "not one line with the"),
        (Video(error=BadVideoError("a.mp4: a\nb")), "not one line with the"),
        (Video(error=KeyError("x")), "KeyError('x')"),
    ],
)
def test_what_is_wrong_with_an_end_is_found(video, problem):
    _, found = _decode(video, "a.mp4")
    assert problem in found
    assert bool(problem) == bool(found)
