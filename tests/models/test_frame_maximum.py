"""The maximum over real frames."""

import numpy as np

from distill.models.frame_mask import frame_mask
from distill.models.frame_maximum import maximum_over_frames
from tests.videos import make_videos, real_frames


def test_the_maximum_is_that_of_the_real_frames_and_zero_of_none():
    videos = make_videos(5, 3)
    videos["frames"] -= 10.0
    mask = frame_mask(videos["frames"], videos["num_frames"])
    maximum = maximum_over_frames(videos["frames"], mask)
    expected = [frames.max(axis=0) for frames in real_frames(videos)[1:]]
    np.testing.assert_allclose(maximum[1:], expected, atol=1e-6)
    np.testing.assert_array_equal(maximum[0], np.zeros(3))
