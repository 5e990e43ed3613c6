"""Gatings: a vector reweights its own entries.

Miech, Laptev and Sivic, "Learnable pooling with context gating for video
classification", 2017 (arXiv 1706.06905), equation 5; Hu, Shen and Sun,
"Squeeze-and-excitation networks", CVPR 2018.
"""

import keras
from keras import ops

from distill.models.normalized_dense import NormalizedDense
from distill.models.stored_arguments import StoredArguments
from distill.models.vector_product import multiply_vectors


@keras.saving.register_keras_serializable("distill.models")
class ContextGating(NormalizedDense):
    """Multiplies a vector h by the gates sigmoid(BN(h G)).

    With `remove_diagonal` an entry is excluded from its own gate: G's diagonal
    counts as zeros. The other arguments and the call arguments are those of
    `NormalizedDense`. A layer built with `units` for other vectors takes the
    gates from those: its call's `source` `[batch, other dim]`.

    Returns:
      `[batch, dim]` floats: the inputs, each times a gate in [0, 1].
    """

    def __init__(self, remove_diagonal: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.remove_diagonal = remove_diagonal

    def call(self, inputs, real=None, source=None, training=False):
        """Returns the gated inputs."""
        source = inputs if source is None else source
        gates = multiply_vectors(source, self.kernel)
        if self.remove_diagonal:
            gates = gates - inputs * ops.diagonal(self.kernel)
        return inputs * ops.sigmoid(self.normalise(gates, real, training))


@keras.saving.register_keras_serializable("distill.models")
class SqueezeExcitation(StoredArguments, keras.layers.Layer):
    """Multiplies a vector by gates computed through a narrow layer.

    Hu et al. 2018, as Lin, Xiao and Fan 2018 (NeXtVLAD, section 3.3) apply it
    to a video's vector: `y = x * sigmoid(relu(BN(x G1)) G2)`, without biases
    but the normalisation's.

    Args:
      reduction: How many times narrower the middle layer is; it has
        `dim // reduction` values, 1 at least.

    Call arguments:
      inputs: `[batch, dim]` floats.
      training: Whether batch statistics are used.

    Returns:
      `[batch, dim]`.
    """

    def __init__(self, reduction: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.norm = self.make(keras.layers.BatchNormalization, "norm")

    def build(self, input_shape):
        """Creates both matrices for `[batch, dim]`."""
        dim = input_shape[-1]
        narrow = max(1, dim // self.reduction)
        self.squeeze_kernel = self._add_matrix("squeeze_kernel", dim, narrow)
        self.excite_kernel = self._add_matrix("excite_kernel", narrow, dim)
        self.norm.build((None, narrow))

    def _add_matrix(self, name, rows, columns):
        return self.add_weight(
            name=name, shape=(rows, columns), initializer="glorot_uniform"
        )

    def call(self, inputs, training=False):
        """Returns the gated vectors."""
        squeezed = multiply_vectors(inputs, self.squeeze_kernel)
        squeezed = ops.relu(self.norm(squeezed, training=training))
        gates = multiply_vectors(squeezed, self.excite_kernel)
        return inputs * ops.sigmoid(gates)

    def macs(self) -> int:
        """Returns the MACs of one vector."""
        rows, columns = self.squeeze_kernel.shape
        return 2 * rows * columns
