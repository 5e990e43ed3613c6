"""Every model and classifier: where it is defined, its sizes' defaults.

The defaults are the references' sizes. Importing this module imports no Keras.
"""

import dataclasses
from collections.abc import Mapping

ArgumentValue = int | float | bool | str


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One named model.

    Attributes:
      factory: `module:attribute` of the class or function that builds it.
      level: `frame` (reads `frames` and `num_frames`) or `video` (reads
        `features`).
      arguments: Name and default of every size it takes.
      classifier: Name of its classifier; None where the user chooses one by
        the argument `video_level_classifier_model`.
      argument_help: A line for each argument that `argument_help` does
        not tell about.
    """

    factory: str
    level: str
    arguments: Mapping[str, ArgumentValue]
    classifier: str | None = None
    argument_help: Mapping[str, str] = dataclasses.field(default_factory=dict)


CLASSIFIERS = {
    "LogisticModel": ModelEntry(
        factory="distill.models.logistic:Logistic",
        level="video",
        arguments={"logistic_l2": 1e-8},
    ),
    "MoeModel": ModelEntry(
        factory="distill.models.mixture_of_experts:MixtureOfExperts",
        level="video",
        arguments={
            "moe_num_mixtures": 2,
            "moe_l2": 1e-8,
            "moe_prob_gating": False,
            "moe_prob_gating_remove_diag": False,
            "moe_low_rank_gating": 0,
        },
    ),
}

_SAMPLING: dict[str, ArgumentValue] = {
    "sample_frames": 0,
    "sample_random_frames": True,
    "sample_at_evaluation": False,
}
_POOLING = _SAMPLING | {"mask_padding": True}

MODELS = {
    "HierarchicalLstmModel": ModelEntry(
        factory="distill.models.hierarchical_lstm:HierarchicalLstm",
        level="frame",
        arguments={
            "lstm_cells": 1024,
            "lstm_layers": 2,
            "num_inputs_to_lstm": 20,
            "dropout": 0.0,
            "input_dropout": 0.0,
            "input_batch_norm": False,
        },
    ),
    "FrameLevelLogisticModel": ModelEntry(
        factory="distill.models.frame_level_logistic:FrameLevelLogisticModel",
        level="frame",
        arguments={},
        classifier="LogisticModel",
    ),
    "PooledNetworkModel": ModelEntry(
        factory="distill.models.pooled_network:PooledNetworkModel",
        level="frame",
        arguments={
            "hidden_sizes": "1024",
            "dropout": 0.0,
            "input_batch_norm": False,
        },
    ),
    "DbofModel": ModelEntry(
        factory="distill.models.dbof:DbofModel",
        level="frame",
        arguments={
            "dbof_cluster_size": 8192,
            "dbof_hidden_size": 1024,
            "dbof_pooling_method": "max",
            "dbof_activation": "relu6",
            "dbof_add_batch_norm": True,
        }
        | _POOLING
        | {"sample_frames": 30},
    ),
    "SoftDbofModelLF": ModelEntry(
        factory="distill.models.soft_dbof:SoftDbofModel",
        level="frame",
        arguments={
            "dbof_cluster_size": 8000,
            "dbof_hidden_size": 1024,
            "dbof_relu": False,
            "dbof_add_batch_norm": True,
            "softdbof_maxpool": False,
        }
        | _POOLING,
    ),
    "GatedDbofModelLF": ModelEntry(
        factory="distill.models.soft_dbof:GatedDbofModel",
        level="frame",
        arguments={
            "dbof_cluster_size": 4096,
            "dbof_hidden_size": 1024,
            "dbof_relu": False,
            "dbof_add_batch_norm": True,
            "softdbof_maxpool": False,
        }
        | _POOLING,
    ),
    "LstmModel": ModelEntry(
        factory="distill.models.lstm:LstmModel",
        level="frame",
        arguments={
            "lstm_cells": 1024,
            "lstm_layers": 2,
            "reversed_time": False,
            "recurrent_pooling": "state",
            "dropout": 0.0,
            "input_batch_norm": False,
        }
        | _SAMPLING,
    ),
    "GruModel": ModelEntry(
        factory="distill.models.gru:GruModel",
        level="frame",
        arguments={
            "gru_cells": 1200,
            "gru_layers": 2,
            "reversed_time": False,
            "recurrent_pooling": "state",
            "dropout": 0.0,
            "input_batch_norm": False,
        }
        | _SAMPLING,
    ),
    "BiLstmModel": ModelEntry(
        factory="distill.models.bidirectional_lstm:BiLstmModel",
        level="frame",
        arguments={
            "lstm_cells": 2304,
            "lstm_layers": 4,
            "hidden_size": 2048,
            "dropout": 0.0,
            "input_batch_norm": False,
        },
    ),
    "StreamLstmModel": ModelEntry(
        factory="distill.models.stream_lstm:StreamLstmModel",
        level="frame",
        arguments={
            "stream_input_size": 512,
            "stream_cells": "1024,128",
            "hidden_sizes": "8192,4096",
            "dropout": 0.5,
            "hidden_dropout": 0.0,
            "batch_norm": False,
        },
    ),
    "CombinedModel": ModelEntry(
        factory="distill.models.combined:CombinedModel",
        level="frame",
        arguments={
            "tower_sizes": "512,1024,4096,8192,4096",
            "stream_input_size": 512,
            "stream_cells": "1024,128",
            "hidden_sizes": "8192,4096",
            "dropout": 0.5,
            "hidden_dropout": 0.0,
            "batch_norm": False,
        },
    ),
    "NetVLADModelLF": ModelEntry(
        factory="distill.models.netvlad:NetVladModel",
        level="frame",
        arguments={
            "netvlad_cluster_size": 256,
            "netvlad_hidden_size": 1024,
            "netvlad_relu": False,
            "netvlad_add_batch_norm": True,
            "lightvlad": False,
            "gating": True,
            "gating_remove_diag": False,
        }
        | _POOLING,
    ),
    "NetFVModelLF": ModelEntry(
        factory="distill.models.netfv:NetFvModel",
        level="frame",
        arguments={
            "fv_cluster_size": 128,
            "fv_hidden_size": 1024,
            "fv_relu": False,
            "fv_add_batch_norm": True,
            "fv_couple_weights": False,
            "fv_coupling_factor": 0.01,
            "gating": True,
            "gating_remove_diag": False,
        }
        | _POOLING,
    ),
    "NeXtVLADModel": ModelEntry(
        factory="distill.models.nextvlad_model:NeXtVladModel",
        level="frame",
        arguments={
            "nextvlad_cluster_size": 128,
            "nextvlad_groups": 8,
            "nextvlad_expansion": 2,
            "nextvlad_hidden_size": 2048,
            "gating_reduction": 8,
            "dropout": 0.5,
        },
    ),
    "LogisticModel": ModelEntry(
        factory="distill.models.video_level:VideoLevelClassifier",
        level="video",
        arguments={},
        classifier="LogisticModel",
    ),
    "MoeModel": ModelEntry(
        factory="distill.models.video_level:VideoLevelClassifier",
        level="video",
        arguments={},
        classifier="MoeModel",
    ),
    "FullyConnectedModel": ModelEntry(
        factory="distill.models.fully_connected:FullyConnectedModel",
        level="video",
        arguments={
            "tower_sizes": "512,1024,4096,8192,4096",
            "hidden_sizes": "4096",
            "dropout": 0.0,
            "input_batch_norm": False,
            "batch_norm": False,
        },
    ),
}
