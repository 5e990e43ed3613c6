"""The hierarchical LSTM in its plain formulation: one LSTM call a block."""

from typing import Any

import keras
from keras import ops


def run_block_by_block(
    model: keras.Model, inputs: dict[str, Any]
) -> dict[str, Any]:
    """Runs a hierarchical LSTM with its blocks in a Python loop.

    Args:
      model: A built `HierarchicalLstm` without dropout and input
        normalisation.
      inputs: Dict of `frames` `[batch, max_frames, features]` floats and
        `num_frames` `[batch]` ints.

    Returns:
      Dict of `embedding` and `predictions`, as the model returns them.
    """
    frames = inputs["frames"]
    num_frames = ops.cast(inputs["num_frames"], "int32")
    length = model.block_length
    states = []
    for start in range(0, frames.shape[1], length):
        block = frames[:, start : start + length]
        in_block = ops.clip(num_frames - start, 0, block.shape[1])
        states.append(_final_states(model.lower.lstms, block, in_block))
    num_blocks = -(-num_frames // length)
    embedding = _final_states(
        model.upper.lstms, ops.stack(states, axis=1), num_blocks
    )
    return {
        "embedding": embedding,
        "predictions": model.classifier(embedding),
    }


def _final_states(
    lstms: list[keras.layers.LSTM], inputs: Any, lengths: Any
) -> Any:
    """Returns `[c, h]` of all layers after the real steps, concatenated."""
    mask = ops.arange(inputs.shape[1], dtype="int32")[None] < lengths[:, None]
    outputs, states = inputs, []
    for lstm in lstms:
        outputs, h, c = lstm(outputs, mask=mask)
        states += [c, h]
    return ops.concatenate(states, axis=-1)
