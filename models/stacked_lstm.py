"""LSTM layers stacked on one another, read by their final states.

Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997.
"""

import keras
from keras import ops

from distill.models.frame_mask import frame_mask
from distill.models.frame_recurrence import make_lstm, step_macs
from distill.models.stored_arguments import StoredArguments
from distill.models.unrolled_lstm import can_unroll, run_unrolled


@keras.saving.register_keras_serializable("distill.models")
class StackedLstm(StoredArguments, keras.layers.Layer):
    """Reads sequences from a zero state and returns the final states.

    Dropout acts between layers.

    Call arguments:
      inputs: `[batch, steps, features]` floats.
      lengths: `[batch]` ints, real steps of each sequence. Steps at or beyond
        it change nothing; a sequence of length 0 ends in the zero state.
      training: Whether dropout applies.

    Returns:
      `[batch, layers * 2 * cells]`: `[c, h]` of the first layer, then of the
      second, and so on.
    """

    def __init__(
        self, cells: int, layers: int = 2, dropout: float = 0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.cells = cells
        self.layers = layers
        self.dropout = dropout
        self.lstms = [
            self.make(
                make_lstm,
                f"lstm_{index}",
                cells,
                return_sequences=index < layers - 1,
            )
            for index in range(layers)
        ]
        self.dropouts = [
            self.make(keras.layers.Dropout, f"dropout_{index}", dropout)
            for index in range(1, layers)
        ]

    def build(self, inputs_shape, lengths_shape=None):
        """Builds the layers for `[batch, steps, features]`."""
        shape = tuple(inputs_shape)
        for lstm in self.lstms:
            lstm.build(shape)
            shape = (*shape[:-1], self.cells)

    def call(self, inputs, lengths, training=False):
        """Returns the final states of all layers."""
        lengths = ops.cast(lengths, "int32")
        if can_unroll(inputs.shape[1]):
            return self._unroll(inputs, lengths, training)
        # cuDNN refuses an empty sequence: its first step is read and dropped.
        mask = frame_mask(inputs, ops.maximum(lengths, 1))
        outputs, states = inputs, []
        for index, lstm in enumerate(self.lstms):
            if index > 0:
                outputs = self.dropouts[index - 1](outputs, training=training)
            outputs, h, c = lstm(outputs, mask=mask, training=training)
            states += [c, h]
        states = ops.concatenate(states, axis=-1)
        return ops.where((lengths > 0)[:, None], states, ops.zeros_like(states))

    def _unroll(self, inputs, lengths, training):
        is_real = ops.transpose(frame_mask(inputs, lengths))[:, :, None]
        outputs, states = ops.transpose(inputs, (1, 0, 2)), []
        for index, lstm in enumerate(self.lstms):
            if index > 0:
                outputs = self.dropouts[index - 1](outputs, training=training)
            outputs, h, c = run_unrolled(lstm, outputs, is_real)
            states += [c, h]
        return ops.concatenate(states, axis=-1)

    def macs(self, steps: int) -> int:
        """Returns the MACs of one sequence of `steps`."""
        return steps * sum(map(step_macs, self.lstms))
