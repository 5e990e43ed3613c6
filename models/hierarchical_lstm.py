"""The hierarchical LSTM: an LSTM over blocks of frames, one over the blocks.

Bhardwaj, Srinivasan and Khapra, "Efficient video classification using fewer
frames", CVPR 2019 (arXiv 1902.10640), section 3.
"""

import keras
from keras import ops

from distill.models.fixed_shapes import shapes_are_fixed
from distill.models.frame_mask import frame_mask
from distill.models.input_norm import InputNorm
from distill.models.stacked_lstm import StackedLstm
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("models")
class HierarchicalLstm(VideoModel):
    """Classifies a video by the final states of two levels of LSTMs.

    The frames are cut into blocks of `ceil(max_frames / num_inputs_to_lstm)`.
    The lower LSTM reads each block from a zero state; the upper LSTM reads the
    blocks' final states, as many as hold a frame of the video. All blocks of
    all videos pass the lower LSTM as one batch.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      max_frames: Frames of the longest video.
      lstm_cells: Cells of every LSTM layer.
      lstm_layers: Layers of each of the two LSTMs.
      num_inputs_to_lstm: Number of blocks.
      dropout: Share of values dropped in training: between the layers of an
        LSTM, of the blocks' states and of the embedding's copy that goes to
        the classifier.
      input_dropout: Share of the frames' values dropped in training.
      input_batch_norm: Whether the frames pass a batch normalisation, whose
        statistics are those of the real frames.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, features]` floats, at most
        `max_frames` of them, and `num_frames` `[batch]` ints. What lies at or
        beyond `num_frames` has no effect.
      training: Whether dropout applies and batch statistics are used.

    Returns:
      Dict of `embedding` `[batch, lstm_layers * 2 * lstm_cells]` and
      `predictions` `[batch, classes]` in [0, 1].

    Raises:
      ValueError: There are more blocks than frames.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        max_frames: int,
        lstm_cells: int = 1024,
        lstm_layers: int = 2,
        num_inputs_to_lstm: int = 20,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        input_batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(classifier, **kwargs)
        self.drop_embedding(dropout)
        if not 1 <= num_inputs_to_lstm <= max_frames:
            raise ValueError(
                "num_inputs_to_lstm (blocks) must be from 1 to the number of "
                f"frames the model sees ({max_frames}), got "
                f"{num_inputs_to_lstm}."
            )
        self.max_frames = max_frames
        self.lstm_cells = lstm_cells
        self.lstm_layers = lstm_layers
        self.num_inputs_to_lstm = num_inputs_to_lstm
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.input_batch_norm = input_batch_norm
        self.block_length = -(-max_frames // num_inputs_to_lstm)
        policy = self.dtype_policy
        self.input_norm = InputNorm(
            input_batch_norm, dtype=policy, name="input_norm"
        )
        self.input_drop = keras.layers.Dropout(
            input_dropout, dtype=policy, name="input_drop"
        )
        self.lower = StackedLstm(
            lstm_cells, lstm_layers, dropout, dtype=policy, name="lower"
        )
        self.states_drop = keras.layers.Dropout(
            dropout, dtype=policy, name="states_drop"
        )
        self.upper = StackedLstm(
            lstm_cells, lstm_layers, dropout, dtype=policy, name="upper"
        )

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        features = input_shape["frames"][-1]
        state_size = 2 * self.lstm_layers * self.lstm_cells
        self.input_norm.build((None, None, features))
        self.lower.build((None, self.block_length, features))
        self.upper.build((None, None, state_size))
        self.classifier.build((None, state_size))
        self.built = True

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames = inputs["frames"]
        num_frames = ops.cast(inputs["num_frames"], "int32")
        frames = self._normalise(frames, num_frames, training)
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

    def _normalise(self, frames, num_frames, training):
        mask = frame_mask(frames, num_frames)
        frames = self.input_norm(frames, mask, training=training)
        return self.input_drop(frames, training=training)

    def _read_blocks(self, blocks, block_frames, training):
        """Returns every block's states, zeros where it holds no real frame.

        Where shapes may follow from values, such blocks are not computed.
        """
        if keras.backend.backend() == "jax" or shapes_are_fixed():
            return self.lower(blocks, block_frames, training=training)
        # The first block stays, for want of any other.
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
        # Not clip(n - start, 0, length): of 6 frames LiteRT would make it a
        # relu6, which it has not for integers.
        upto_end = ops.minimum(num_frames[:, None], starts[None] + length)
        block_frames = upto_end - ops.minimum(num_frames[:, None], starts[None])
        return blocks, ops.reshape(block_frames, (-1,))

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        features = self.lower.lstms[0].cell.kernel.shape[0]
        state_size = 2 * self.lstm_layers * self.lstm_cells
        num_blocks = self._count_blocks(num_frames)
        return (
            self.lower.macs(num_frames, features)
            + self.upper.macs(num_blocks, state_size)
            + self.classifier.macs()
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "max_frames": self.max_frames,
            "lstm_cells": self.lstm_cells,
            "lstm_layers": self.lstm_layers,
            "num_inputs_to_lstm": self.num_inputs_to_lstm,
            "dropout": self.dropout,
            "input_dropout": self.input_dropout,
            "input_batch_norm": self.input_batch_norm,
        }
