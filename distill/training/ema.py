"""A network whose weights are the moving average of another's.

Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017.
"""

import tensorflow as tf

from distill.networks.network import Network


class MovingAverage:
    """Follows the weights of a network that trains.

    Args:
      network: The network that trains.
      average: One of the same settings, whose weights are overwritten.
      half_life: Steps after which what a weight was counts half.
    """

    def __init__(self, network: Network, average: Network, half_life: float):
        self.average = average
        self._decay = 0.5 ** (1 / half_life)
        self._pairs = list(
            zip(average.model.weights, network.model.weights, strict=True)
        )

    def start(self) -> None:
        """Takes the weights as they are."""
        for average, weight in self._pairs:
            average.assign(weight)

    def update(self, steps) -> None:
        """Takes the weights of one step into the average (in the graph).

        Args:
          steps: Scalar int, steps before this one. After the first step the
            average is the weights themselves; while steps are few, what they
            were counts less.
        """
        steps = tf.cast(steps, tf.float32)
        decay = tf.minimum(self._decay, steps / (steps + 9))
        for average, weight in self._pairs:
            weight = tf.cast(weight, average.dtype)
            average.assign(weight + decay * (average - weight))
