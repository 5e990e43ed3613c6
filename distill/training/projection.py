"""From the student's embedding to the width of the teacher's.

Romero et al., "FitNets: hints for thin deep nets", ICLR 2015: a learned
regressor between layers of different widths, left out of the student.
"""

import keras

from distill.networks.network import Network


def build_projection(
    student: Network, teacher: Network
) -> keras.layers.Dense | None:
    """Returns a built linear layer, or None where the widths are the same."""
    if student.embedding_size == teacher.embedding_size:
        return None
    projection = keras.layers.Dense(teacher.embedding_size, name="projection")
    projection.build((None, student.embedding_size))
    return projection
