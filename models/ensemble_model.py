"""Several models of raw videos as one: their weighted mean."""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.raw_video_model import RawVideoModel
from distill.models.stored_arguments import StoredArguments


@keras.saving.register_keras_serializable("distill.models")
class EnsembleModel(StoredArguments, keras.Model):
    """Averages the predictions of models that read the same videos.

    Members that are already built keep the names of their weights.

    Args:
      members: One model or more.
      member_weights: Weight of each member's predictions, 0 or more; they
        sum to 1.

    Call arguments:
      inputs: The inputs of every member.
      training: No effect: such a model does not train.

    Returns:
      The mean predictions `[batch, classes]` in [0, 1].

    Raises:
      ValueError: There is no member, or the weights do not fit them.
    """

    def __init__(
        self,
        members: list[RawVideoModel],
        member_weights: list[float],
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not members or len(members) != len(member_weights):
            raise ValueError(
                "An ensemble has one member or more and a weight for each, "
                f"got {len(members)} members and {len(member_weights)} weights."
            )
        check_at_least(0, member_weights=min(member_weights))
        if abs(sum(member_weights) - 1) > 1e-6:
            raise ValueError(
                f"member_weights must sum to 1, got {list(member_weights)}."
            )
        self.members = list(members)
        self.member_weights = [float(weight) for weight in member_weights]

    def build(self, input_shape):
        """Builds the members that are not built."""
        for member in self.members:
            if not member.built:
                member.build(input_shape)

    def call(self, inputs, training=False):
        """Returns the mean predictions."""
        weighted = [
            weight * ops.cast(member(inputs, training=False), "float32")
            for weight, member in zip(
                self.member_weights, self.members, strict=True
            )
        ]
        return sum(weighted[1:], start=weighted[0])

    def macs(self) -> int:
        """Returns the MACs of a video of the most frames."""
        return sum(member.macs() for member in self.members)
