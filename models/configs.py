"""Settings of every model and classifier, and their table by name.

A field has a short name in code (`cluster_size`) and states its flag
(`netvlad_cluster_size`), under which checkpoints and results store its value.
The defaults are the references' sizes. Importing this module imports no Keras.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self, dataclass_transform

from distill.models.options import check_options, flag_name, option

ArgumentValue = int | float | bool | str


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(option,)
)
@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Base of all settings; on its own those of a model without more.

    Subclasses are frozen dataclasses without a decorator.

    Raises:
      ValueError: A value is not accepted; the message names the flag.
    """

    batch_norm_momentum: float = option(
        0.99,
        "Share of the old moving statistics that a step keeps.",
        minimum=0,
        below=1,
    )
    batch_norm_epsilon: float = option(
        0.001, "What a batch norm adds to the variance.", minimum=0
    )

    def __init_subclass__(cls) -> None:
        """Makes every subclass a frozen dataclass."""
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)

    def __post_init__(self) -> None:
        """Checks every field."""
        check_options(self)

    @classmethod
    def restore(cls, values: Mapping[str, Any]) -> Self:
        """Returns stored settings, perhaps of an earlier version."""
        return cls(**{**before_it_was_a_setting(cls), **values})

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, ArgumentValue]) -> Self:
        """Returns the settings of arguments by flag name, others ignored."""
        values: dict[str, Any] = {
            field.name: arguments[flag_name(field)]
            for field in dataclasses.fields(cls)
            if flag_name(field) in arguments
        }
        return cls(**values)


def before_it_was_a_setting(config: type[ModelConfig]) -> dict[str, Any]:
    """Returns what networks did before a setting of theirs was one.

    Only settings whose default is something else. Their fields and flags have
    the same names.
    """
    former = {"published_form": False}
    fields = config.__dataclass_fields__
    return {name: former[name] for name in former.keys() & fields.keys()}


def _default(base: type[ModelConfig], name: str, value: Any) -> Any:
    """Returns a field of `base` with another default."""
    metadata = base.__dataclass_fields__[name].metadata
    return dataclasses.field(default=value, metadata=metadata)


def _size(default: int, help_text: str, flag: str | None = None) -> Any:
    return option(default, help_text, flag, minimum=1)


def _rate(help_text: str) -> Any:
    return option(0.0, help_text, minimum=0, below=1)


class LogisticConfig(ModelConfig):
    """Settings of the logistic classifier."""

    l2: float = option(
        1e-8, "L2 penalty of the logistic classifier's matrix.", "logistic_l2"
    )


class MixtureConfig(ModelConfig):
    """Settings of the mixture of experts."""

    num_mixtures: int = _size(
        2, "Experts per class of the mixture of experts.", "moe_num_mixtures"
    )
    l2: float = option(
        1e-8, "L2 penalty of the mixture of experts' matrices.", "moe_l2"
    )
    prob_gating: bool = option(
        False,
        "Context gating of the mixture of experts' probabilities.",
        "moe_prob_gating",
    )
    prob_gating_remove_diag: bool = option(
        False,
        "Exclude each class from its own probability gate.",
        "moe_prob_gating_remove_diag",
    )
    prob_gating_input: str = option(
        "prob",
        "What gates the mixture's probabilities: prob, they themselves; "
        "input, the classifier's input.",
        "moe_prob_gating_input",
        choices=("prob", "input"),
    )
    low_rank_gating: int = option(
        0,
        "Rank of the mixture's factored gate matrix; 0: one full matrix.",
        "moe_low_rank_gating",
        minimum=0,
    )

    @property
    def gates_by_input(self) -> bool:
        """Whether the classifier's input gates the probabilities."""
        return self.prob_gating_input == "input"

    def __post_init__(self) -> None:
        """Checks every field, and those of the gates together."""
        super().__post_init__()
        if self.gates_by_input and self.prob_gating_remove_diag:
            raise ValueError(
                "moe_prob_gating_remove_diag needs moe_prob_gating_input=prob."
            )


class SingleHiddenConfig(ModelConfig):
    """Settings of `SingleHiddenLogistic`."""

    units: int = _size(
        1024,
        "Width of the sigmoid layer of the SingleHiddenLayer and "
        "DoubleHiddenLayer classifiers.",
        "num_hidden_units",
    )
    dropout: float = option(
        0.0,
        "Dropout rate after the first hidden layer of these classifiers.",
        "hidden_layer_dropout",
        minimum=0,
        below=1,
    )
    l2: float = option(
        1e-7, "L2 penalty of these classifiers' matrices.", "hidden_layer_l2"
    )
    bias_l2: float = option(
        1e-3,
        "L2 penalty of these classifiers' output bias.",
        "hidden_layer_bias_l2",
    )
    scaled: bool = option(
        False,
        "Scale the scores of each video by these classifiers to 0 to 1.",
        "hidden_layer_scaled",
    )

    @property
    def layers(self) -> list[tuple[int, str]]:
        """Width and activation of the hidden layers."""
        return [(self.units, "sigmoid")]


class DoubleHiddenConfig(SingleHiddenConfig):
    """Settings of `DoubleHiddenLogistic`."""

    first_units: int = _size(
        2048,
        "Width of the tanh layer of the DoubleHiddenLayer classifier.",
        "num_first_hidden_units",
    )

    @property
    def layers(self) -> list[tuple[int, str]]:
        """Width and activation of the hidden layers."""
        return [(self.first_units, "tanh"), *super().layers]


class DropoutConfig(ModelConfig):
    """A dropout, which each model applies where its docstring says."""

    dropout: float = _rate(
        "Dropout rate in training; the model's docstring says where."
    )


class InputNormConfig(ModelConfig):
    """Batch normalisation of the inputs; padding is left out of it."""

    input_batch_norm: bool = option(
        False, "Batch-normalise every input feature over real frames."
    )


class SamplingConfig(ModelConfig):
    """Frames drawn at random in training."""

    sample_frames: int = option(
        0, "Frames drawn of each video in training; 0: all.", minimum=0
    )
    sample_random_frames: bool = option(
        True, "Draw each frame alone; otherwise a run of consecutive frames."
    )
    sample_sorted: bool = option(
        True,
        "Sort the frames drawn by time. Otherwise they stay as drawn, and a "
        "shorter video has as many of them as it has frames.",
    )
    sample_at_evaluation: bool = option(
        False, "Draw frames outside training too."
    )


class HiddenConfig(DropoutConfig):
    """Dense layers before the classifier."""

    hidden_sizes: str = option(
        "1024",
        "Widths of the dense layers before the classifier, comma-separated.",
    )
    batch_norm: bool = option(
        False, "Batch-normalise every dense layer before its ReLU."
    )


class TowersConfig(HiddenConfig):
    """A tower of dense layers for each feature, joined by dense layers."""

    tower_sizes: str = option(
        "512,1024,4096,8192,4096",
        "Widths of the dense layers of each feature's tower, comma-separated.",
    )


class FullyConnectedConfig(TowersConfig, InputNormConfig):
    """Settings of `FullyConnectedModel`."""

    hidden_sizes: str = _default(HiddenConfig, "hidden_sizes", "4096")


class PooledNetworkConfig(DropoutConfig, InputNormConfig):
    """Settings of `PooledNetworkModel`."""

    hidden_sizes: str = _default(HiddenConfig, "hidden_sizes", "1024")


class NotebookConfig(ModelConfig):
    """Settings of the LSTMs of the Label_YT_Videos notebook."""

    published_form: bool = option(
        True,
        "BiLSTM, Stream-LSTM and CombinedModel as the Label_YT_Videos notebook "
        "builds them; otherwise as the model's docstring says.",
    )
    lstm_gates: str = option(
        "sigmoid",
        "Gates of these LSTMs; hard_sigmoid: of slope 0.2, as in old Keras.",
        choices=("sigmoid", "hard_sigmoid"),
    )


class StreamLstmConfig(HiddenConfig, NotebookConfig):
    """Settings of `StreamLstmModel`."""

    stream_input_size: int = _size(
        512, "Width of the dense layer each stream begins with."
    )
    stream_output_size: int = _size(
        16,
        "Width of the dense layer on each output of a stream (published form).",
    )
    stream_cells: str = option(
        "1024,128",
        "LSTM cells of each feature's stream, comma-separated; the last "
        "number serves all further features.",
    )
    hidden_sizes: str = _default(HiddenConfig, "hidden_sizes", "8192,4096")
    dropout: float = _default(DropoutConfig, "dropout", 0.5)
    hidden_dropout: float = _rate(
        "Dropout rate before each dense layer after the first and before the "
        "classifier."
    )


class CombinedConfig(StreamLstmConfig, TowersConfig):
    """Settings of `CombinedModel`."""

    stream_output_size: int = _default(
        StreamLstmConfig, "stream_output_size", 1
    )
    stream_head_size: int = _size(
        8192,
        "Width of the dense layer between a stream and its class scores "
        "(CombinedModel, published form).",
    )


class LstmLayersConfig(DropoutConfig, InputNormConfig):
    """Stacked LSTM layers."""

    cells: int = _size(1024, "Cells of every LSTM layer.", "lstm_cells")
    layers: int = _size(2, "Number of stacked LSTM layers.", "lstm_layers")


class HierarchicalLstmConfig(LstmLayersConfig):
    """Settings of `HierarchicalLstm`."""

    num_blocks: int = option(
        20,
        "Blocks the video is cut into: steps of the upper LSTM; at most as "
        "many as it has frames. 0: the square root of the frames it sees.",
        "num_inputs_to_lstm",
        minimum=0,
    )
    input_dropout: float = _rate(
        "Dropout rate of the input features in training."
    )


class BiLstmConfig(LstmLayersConfig, NotebookConfig):
    """Settings of `BiLstmModel`."""

    cells: int = _default(LstmLayersConfig, "cells", 2304)
    layers: int = _default(LstmLayersConfig, "layers", 4)
    hidden_size: int = _size(
        2048, "Width of the dense layer before the classifier."
    )


class RecurrentConfig(DropoutConfig, InputNormConfig, SamplingConfig):
    """Settings that `LstmModel` and `GruModel` share."""

    cells: int
    layers: int
    reversed_time: bool = option(False, "Read the real frames last to first.")
    pooling: str = option(
        "state",
        "state: final hidden state (GRU: of all layers); whole_state: final "
        "states of all layers, an LSTM's cells too; mean: of the last layer's "
        "outputs over real frames.",
        "recurrent_pooling",
        choices=("state", "whole_state", "mean"),
    )


class LstmConfig(LstmLayersConfig, RecurrentConfig):
    """Settings of `LstmModel`."""


class GruConfig(RecurrentConfig):
    """Settings of `GruModel`."""

    cells: int = _size(1200, "Cells of every GRU layer.", "gru_cells")
    layers: int = _size(2, "Number of stacked GRU layers.", "gru_layers")


class PoolingConfig(SamplingConfig):
    """Settings that all models share that pool frames by clusters."""

    cluster_size: int
    hidden_size: int
    add_batch_norm: bool
    mask_padding: bool = option(
        True, "Leave padding out of pooling and batch statistics."
    )
    # Not fields here: subclasses make them settings.
    relu = False
    gating = False
    gating_remove_diag = False
    fc_dimred = True
    hidden2_factor = 0

    @property
    def norm_frames(self) -> bool:
        """Whether a batch norm of the frames comes first."""
        return self.add_batch_norm

    @property
    def hidden_activation(self) -> str | None:
        """Keras's name of the hidden layer's activation.

        With an activation the layer has a batch norm in place of its bias.
        """
        return "relu6" if self.relu else None


class GatedPoolingConfig(PoolingConfig):
    """Settings of the pooling models with context gating."""

    gating: bool = option(True, "Context gating of the hidden layer.")
    gating_remove_diag: bool = option(
        False, "Exclude each value from its own context gate."
    )


class DbofSizesConfig(PoolingConfig):
    """Settings that the three DBoF models share."""

    cluster_size: int = _size(
        8192,
        "Clusters of the DBoF models (of the first feature in the LF ones).",
        "dbof_cluster_size",
    )
    hidden_size: int = _size(
        1024,
        "Width of the DBoF models' hidden layer, the embedding.",
        "dbof_hidden_size",
    )
    add_batch_norm: bool = option(
        True,
        "Batch norms in the DBoF models; biases otherwise.",
        "dbof_add_batch_norm",
    )


class DbofConfig(DbofSizesConfig):
    """Settings of `DbofModel`.

    The starter code of 2017 has the activation relu6, that of 2019 sigmoid.
    """

    sample_frames: int = _default(SamplingConfig, "sample_frames", 30)
    pooling_method: str = option(
        "max",
        "Pooling of DBoF over frames.",
        "dbof_pooling_method",
        choices=("max", "average"),
    )
    activation: str = option(
        "relu6",
        "Activation of DBoF's projection and hidden layer.",
        "dbof_activation",
        choices=("relu6", "sigmoid"),
    )

    @property
    def hidden_activation(self) -> str | None:
        """The activation of the projection is the hidden layer's too."""
        return self.activation


class SoftDbofConfig(DbofSizesConfig):
    """Settings of `SoftDbofModel`."""

    cluster_size: int = _default(DbofSizesConfig, "cluster_size", 8000)
    relu: bool = option(
        False,
        "Batch norm and relu6 in place of the hidden layer's bias (Soft, "
        "Gated DBoF).",
        "dbof_relu",
    )
    max_pool: bool = option(
        False,
        "Append the maxima of Soft DBoF's assignments to their sums.",
        "softdbof_maxpool",
    )
    fc_dimred: bool = option(
        True,
        "The hidden layer of Soft and Gated DBoF; without it the classifier "
        "reads the pooled frames.",
    )


class DbofLfConfig(DbofSizesConfig):
    """Settings of `DbofLfModel`."""

    relu: bool = option(
        True,
        "Batch norm and relu6 in place of the hidden bias of DbofModelLF.",
        "dbof_lf_relu",
    )
    activation: str = option(
        "relu6",
        "Activation of the projection of DbofModelLF. glu projects to twice "
        "as many values, half of them gates.",
        "dbof_lf_activation",
        choices=("none", "relu6", "glu"),
    )


class GatedDbofConfig(SoftDbofConfig):
    """Settings of `GatedDbofModel`."""

    cluster_size: int = _default(DbofSizesConfig, "cluster_size", 4096)


class NetVladConfig(GatedPoolingConfig):
    """Settings of `NetVladModel`."""

    cluster_size: int = _size(
        256,
        "Clusters of NetVLAD for the first feature; later ones get half.",
        "netvlad_cluster_size",
    )
    hidden_size: int = _size(
        1024,
        "Width of NetVLAD's hidden layer, the embedding.",
        "netvlad_hidden_size",
    )
    relu: bool = option(
        False,
        "Batch norm and relu6 in place of NetVLAD's hidden bias.",
        "netvlad_relu",
    )
    add_batch_norm: bool = option(
        True,
        "Batch norms in NetVLAD; biases otherwise.",
        "netvlad_add_batch_norm",
    )
    input_batch_norm: bool = option(
        True,
        "Batch norm of NetVLAD's input, with netvlad_add_batch_norm.",
        "netvlad_input_batch_norm",
    )
    hidden2_factor: int = option(
        0,
        "Width of NetVLAD's second hidden layer, the embedding, over the "
        "first's; 0: none.",
        "netvlad_hidden2_factor",
        minimum=0,
    )
    lightvlad: bool = option(False, "NetVLAD without centres (NetRVLAD).")
    vlagd: bool = option(
        False, "NetVLAD with gates in place of centres (NetVLAGD)."
    )

    @property
    def norm_frames(self) -> bool:
        """Whether a batch norm of the frames comes first."""
        return self.add_batch_norm and self.input_batch_norm

    def __post_init__(self) -> None:
        """Checks every field, and those of the centres together."""
        super().__post_init__()
        if self.lightvlad and self.vlagd:
            raise ValueError("lightvlad and vlagd exclude each other.")


class NetFvConfig(GatedPoolingConfig):
    """Settings of `NetFvModel`."""

    cluster_size: int = _size(
        128,
        "Clusters of NetFV for the first feature; later ones get half.",
        "fv_cluster_size",
    )
    hidden_size: int = _size(
        1024, "Width of NetFV's hidden layer, the embedding.", "fv_hidden_size"
    )
    relu: bool = option(
        False,
        "Batch norm and relu6 in place of NetFV's hidden bias.",
        "fv_relu",
    )
    add_batch_norm: bool = option(
        True, "Batch norms in NetFV; biases otherwise.", "fv_add_batch_norm"
    )
    couple_weights: bool = option(
        False,
        "Take NetFV's centres from the assignment's matrix.",
        "fv_couple_weights",
    )
    coupling_factor: float = option(
        0.01,
        "Factor of that matrix where weights are coupled.",
        "fv_coupling_factor",
    )


class NeXtVladConfig(DropoutConfig):
    """Settings of `NeXtVladModel`."""

    cluster_size: int = _size(
        128,
        "NeXtVLAD: clusters of the first feature; later ones have half.",
        "nextvlad_cluster_size",
    )
    groups: int = _size(
        8,
        "NeXtVLAD: groups of the first feature; later ones have half.",
        "nextvlad_groups",
    )
    expansion: int = _size(
        2,
        "NeXtVLAD: expanded width of a feature over its own.",
        "nextvlad_expansion",
    )
    hidden_size: int = _size(
        2048, "NeXtVLAD: width of the embedding.", "nextvlad_hidden_size"
    )
    gating_reduction: int = _size(
        8, "How many times narrower the gating's middle layer is."
    )
    dropout: float = _default(DropoutConfig, "dropout", 0.5)


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One named model or classifier.

    Attributes:
      factory: `module:class` in `distill.models`.
      config: The class of its settings.
      level: `frame` (reads `frames` and `num_frames`) or `video` (reads
        `features`).
      classifier: Name of its classifier; None where the user chooses one by
        the argument `video_level_classifier_model`.
    """

    factory: str
    config: type[ModelConfig]
    level: str = "frame"
    classifier: str | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The default of every setting, by flag name."""
        fields = dataclasses.fields(self.config)
        return {flag_name(field): field.default for field in fields}


CLASSIFIERS = {
    "LogisticModel": ModelEntry("logistic:Logistic", LogisticConfig, "video"),
    "MoeModel": ModelEntry(
        "mixture_of_experts:MixtureOfExperts", MixtureConfig, "video"
    ),
    "SingleHiddenLayerModel": ModelEntry(
        "hidden_logistic:SingleHiddenLogistic", SingleHiddenConfig, "video"
    ),
    "DoubleHiddenLayerModel": ModelEntry(
        "hidden_logistic:DoubleHiddenLogistic", DoubleHiddenConfig, "video"
    ),
}


class ClassifierChoice(ModelConfig):
    """The classifier of a model that has no fixed one."""

    classifier: str = option(
        "MoeModel",
        "Classifier of a frame-level model.",
        "video_level_classifier_model",
        choices=tuple(CLASSIFIERS),
    )


MODELS = {
    "HierarchicalLstmModel": ModelEntry(
        "hierarchical_lstm:HierarchicalLstm", HierarchicalLstmConfig
    ),
    "FrameLevelLogisticModel": ModelEntry(
        "video_level:FrameLevelLogisticModel",
        ModelConfig,
        classifier="LogisticModel",
    ),
    "PooledNetworkModel": ModelEntry(
        "pooled_network:PooledNetworkModel", PooledNetworkConfig
    ),
    "DbofModel": ModelEntry("dbof:DbofModel", DbofConfig),
    "SoftDbofModelLF": ModelEntry("soft_dbof:SoftDbofModel", SoftDbofConfig),
    "DbofModelLF": ModelEntry("dbof:DbofLfModel", DbofLfConfig),
    "GatedDbofModelLF": ModelEntry("soft_dbof:GatedDbofModel", GatedDbofConfig),
    "LstmModel": ModelEntry("recurrent:LstmModel", LstmConfig),
    "GruModel": ModelEntry("recurrent:GruModel", GruConfig),
    "BiLstmModel": ModelEntry("bidirectional_lstm:BiLstmModel", BiLstmConfig),
    "StreamLstmModel": ModelEntry(
        "stream_lstm:StreamLstmModel", StreamLstmConfig
    ),
    "CombinedModel": ModelEntry("stream_lstm:CombinedModel", CombinedConfig),
    "NetVLADModelLF": ModelEntry("netvlad:NetVladModel", NetVladConfig),
    "NetFVModelLF": ModelEntry("netfv:NetFvModel", NetFvConfig),
    "NeXtVLADModel": ModelEntry("nextvlad:NeXtVladModel", NeXtVladConfig),
    **{
        name: ModelEntry(
            "video_level:VideoLevelClassifier", ModelConfig, "video", name
        )
        for name in CLASSIFIERS
    },
    "FullyConnectedModel": ModelEntry(
        "fully_connected:FullyConnectedModel", FullyConnectedConfig, "video"
    ),
}
