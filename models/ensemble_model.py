"""Several models of raw videos as one: the weighted mean of what they say."""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.raw_video_model import RawVideoModel


@keras.saving.register_keras_serializable("models")
class EnsembleModel(keras.Model):
    """Averages the predictions of models that read the same videos.

    Members that are built before keep the names of their weights.

    Args:
      members: One model or more.
      member_weights: Share of each member's predictions, 0 or more; they sum
        to 1.

    Call arguments:
      inputs: What each of the members reads.
      training: Without effect: such a model does not train.

    Returns:
      The mean predictions `[batch, classes]` in [0, 1].

    Raises:
      ValueError: There is no member, or the weights are no shares of them.
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
        self.built = True

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

    def get_config(self):
        """Returns the constructor's arguments, members as configs."""
        members = []
        for member in self.members:
            config = keras.saving.serialize_keras_object(member)
            # Loading must leave building to this model.
            config.pop("build_config", None)
            members.append(config)
        return super().get_config() | {
            "members": members,
            "member_weights": self.member_weights,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Builds the model from `get_config`'s result."""
        members = [
            keras.saving.deserialize_keras_object(
                member, custom_objects=custom_objects
            )
            for member in config["members"]
        ]
        return cls(**config | {"members": members})
