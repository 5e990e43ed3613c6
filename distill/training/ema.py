"""A network whose weights are an exponential moving average (EMA).

Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017.
"""

import tensorflow as tf

from distill.networks.network import Network


class NetworkEma:
    """Keeps the EMA of a network's weights in a second network.

    Args:
      network: The network that trains.
      average: A network with the same settings; it receives the EMA.
      half_life: Steps after which an old weight counts half.
    """

    def __init__(self, network: Network, average: Network, half_life: float):
        self.average = average
        self._decay = 0.5 ** (1 / half_life)
        self._pairs = list(
            zip(average.model.weights, network.model.weights, strict=True)
        )

    def start(self) -> None:
        """Copies the weights into the EMA."""
        for average, weight in self._pairs:
            average.assign(weight)

    def update(self, steps: tf.Tensor) -> None:
        """Takes the weights after one step into the EMA (in the graph).

        `steps`, scalar int, are those before this one. After few the decay is
        smaller, `steps / (steps + 9)`: the first step copies the weights.
        """
        steps = tf.cast(steps, tf.float32)
        decay = tf.minimum(self._decay, steps / (steps + 9))
        for average, weight in self._pairs:
            weight = tf.cast(weight, average.dtype)
            average.assign(weight + decay * (average - weight))
