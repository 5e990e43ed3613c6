"""Frames left out of training videos, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from distill.training.frame_dropout import draw_frames, drop_frames
from tests.training import numpy_distiller

FRAMES, SHARE = 8, 0.6


def make_videos(kind):
    random = np.random.default_rng(0)
    frames = random.integers(1, 256, (40, FRAMES, 3)).astype(kind)
    num_frames = random.integers(1, FRAMES + 1, 40, dtype=np.int32)
    frames[np.arange(FRAMES) >= num_frames[:, None]] = 0
    return {"frames": frames, "num_frames": num_frames}


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize("traced", [False, True])
def test_frames_below_the_share_are_left_out_and_one_stays(kind, traced):
    videos = make_videos(kind)
    draws = draw_frames(40, FRAMES, (3, 1))
    drop = tf.function(drop_frames) if traced else drop_frames
    found = drop({**videos, "id": tf.zeros(40)}, draws, SHARE)
    expected = numpy_distiller.drop_frames(videos, draws.numpy(), SHARE)
    counts = found["num_frames"].numpy()
    np.testing.assert_array_equal(counts, expected["num_frames"])
    assert found["frames"].dtype == kind
    real = np.arange(FRAMES) < counts[:, None]
    np.testing.assert_array_equal(
        np.where(real[..., None], found["frames"], 0), expected["frames"]
    )
    assert "id" in found
    # Some video would have lost all.
    lost = draws.numpy() < SHARE
    lost |= np.arange(FRAMES) >= videos["num_frames"][:, None]
    assert lost.all(axis=1).any()


def test_draws_follow_from_the_seed_and_are_spread_evenly():
    draws = draw_frames(500, FRAMES, (3, 1)).numpy()
    np.testing.assert_array_equal(draws, draw_frames(500, FRAMES, (3, 1)))
    for other in ((3, 2), (4, 1)):
        assert (draw_frames(500, FRAMES, other).numpy() != draws).all()
    assert draws.min() >= 0
    assert draws.max() < 1
    # 4000 draws: a deviation of .0077 of each share.
    for share in (0.25, 0.5, 0.75):
        assert np.mean(draws < share) == pytest.approx(share, abs=0.04)
