"""Frame budgets: which frames of a video a model sees."""

from keras import ops


def select_every_n(inputs, every_n: int):
    """Keeps the frames 0, n, 2n ... of the padded tensor.

    Bhardwaj et al. 2019, released code: `num_frames` becomes
    `floor(num_frames / n)`. Here a video of fewer than n frames keeps its
    first frame, where the released code leaves it none.

    Args:
      inputs: Dict of `frames` `[batch, frames, features]` and `num_frames`
        int `[batch]`. A dict without frames is returned as it is.
      every_n: The step n, 1 or more; 1 keeps every frame.

    Returns:
      The same keys, with `ceil(frames / n)` frames.
    """
    if every_n == 1 or "frames" not in inputs:
        return inputs
    num_frames = ops.cast(inputs["num_frames"], "int32")
    kept = ops.maximum(num_frames // every_n, ops.minimum(num_frames, 1))
    return {"frames": inputs["frames"][:, ::every_n], "num_frames": kept}


def num_selected(max_frames: int, every_n: int) -> int:
    """Returns how many of `max_frames` padded frames are kept."""
    return -(-max_frames // every_n)
