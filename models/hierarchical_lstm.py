"""The hierarchical LSTM: an LSTM over blocks of frames, one over the blocks.

Bhardwaj, Srinivasan and Khapra, "Efficient video classification using fewer
frames", CVPR 2019 (arXiv 1902.10640), section 3.
"""

import math

import keras
from keras import ops

from distill.models.configs import HierarchicalLstmConfig
from distill.models.fixed_shapes import shapes_may_vary
from distill.models.frame_mask import frame_mask
from distill.models.stacked_lstm import StackedLstm
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("distill.models")
class HierarchicalLstm(VideoModel):
    """Classifies a video by the final states of two levels of LSTMs.

    The frames are cut into blocks of `ceil(max_frames / num_blocks)` frames,
    so that a block has one frame where there are more blocks than frames;
    `num_blocks` 0 stands for the square root of `max_frames`, rounded.
    The lower LSTM reads each block from a zero state; the upper LSTM reads the
    blocks' final states, as many as hold a frame of the video. All blocks of
    all videos pass the lower LSTM as one batch. Dropout acts between the
    layers of an LSTM, on the blocks' states and before the classifier.

    Inputs and outputs are those of `VideoModel`, with at most `max_frames`
    frames; the embedding is `[batch, layers * 2 * cells]`.
    """

    config: HierarchicalLstmConfig

    def make_layers(self) -> None:
        """Makes the layers below the classifier."""
        config = self.config
        self.drop_embedding(config.dropout)
        num_blocks = config.num_blocks or round(math.sqrt(self.max_frames))
        self.block_length = -(-self.max_frames // num_blocks)
        self.normalise_inputs(config.input_batch_norm)
        self.input_drop = self.make(
            keras.layers.Dropout, "input_drop", config.input_dropout
        )
        self.lower = self.make_by_settings(StackedLstm, "lower")
        self.states_drop = self.make(
            keras.layers.Dropout, "states_drop", config.dropout
        )
        self.upper = self.make_by_settings(StackedLstm, "upper")

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        features = input_shape["frames"][-1]
        state_size = 2 * self.config.layers * self.config.cells
        self.input_norm.build((None, None, features))
        self.lower.build((None, self.block_length, features))
        self.upper.build((None, None, state_size))
        self.classifier.build((None, state_size))

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames = inputs["frames"]
        num_frames = ops.cast(inputs["num_frames"], "int32")
        mask = frame_mask(frames, num_frames)
        frames = self.input_norm(frames, mask, training=training)
        frames = self.input_drop(frames, training=training)
        blocks, block_frames = self._cut_into_blocks(frames, num_frames)
        states = self._read_blocks(blocks, block_frames, training)
        states = self.states_drop(states, training=training)
        states = ops.reshape(
            states,
            (-1, self._count_blocks(ops.shape(frames)[1]), states.shape[-1]),
        )
        num_blocks = self._count_blocks(num_frames)
        embedding = self.upper(states, num_blocks, training=training)
        return self.classify(embedding, training)

    def _read_blocks(self, blocks, block_frames, training):
        """Returns every block's states, zeros where it holds no real frame.

        Where shapes may depend on values, such blocks are not computed.
        """
        if not shapes_may_vary():
            return self.lower(blocks, block_frames, training=training)
        # The first block stays: an LSTM needs one sequence at least.
        first = ops.arange(ops.shape(block_frames)[0]) == 0
        is_read = ops.logical_or(block_frames > 0, first)
        (read,) = ops.nonzero(is_read)
        states = self.lower(
            ops.take(blocks, read, axis=0),
            ops.take(block_frames, read, axis=0),
            training=training,
        )
        shape = (ops.shape(block_frames)[0], states.shape[-1])
        return ops.scatter(read[:, None], states, shape)

    def _count_blocks(self, num_frames):
        # Not -(-n // length): ONNX rounds quotients towards zero.
        return (num_frames + self.block_length - 1) // self.block_length

    def _cut_into_blocks(self, frames, num_frames):
        """Folds the blocks into the batch.

        Returns:
          `[batch * blocks, block_length, features]` and the real frames of
          each block, `[batch * blocks]`.
        """
        length = self.block_length
        num_blocks = self._count_blocks(ops.shape(frames)[1])
        missing = num_blocks * length - ops.shape(frames)[1]
        frames = ops.pad(frames, ((0, 0), (0, missing), (0, 0)))
        blocks = ops.reshape(frames, (-1, length, frames.shape[-1]))
        starts = length * ops.arange(num_blocks, dtype="int32")
        # Not clip(n - start, 0, length): with length 6 LiteRT turns it into a
        # relu6, which it lacks for integers.
        upto_end = ops.minimum(num_frames[:, None], starts[None] + length)
        block_frames = upto_end - ops.minimum(num_frames[:, None], starts[None])
        return blocks, ops.reshape(block_frames, (-1,))

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return (
            self.lower.macs(num_frames)
            + self.upper.macs(self._count_blocks(num_frames))
            + self.classifier.macs()
        )
