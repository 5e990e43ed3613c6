"""How much a training computes, from its settings alone."""

from distill.networks.network import measure_network
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.schema import DataSchema

# A training step: forward, and twice as much for gradients.
_TRAINING = 3
# MACs for which a video's reading, parsing and bookkeeping stand.
_A_VIDEO = 1e6
# MACs by network and data: building a network takes a second.
_MEASURED: dict[str, int] = {}


def training_work(
    settings: RunSettings,
    num_videos: int,
    teachers: dict[str, NetworkSettings],
) -> float:
    """Estimates the MACs of a run.

    Args:
      settings: The run's.
      num_videos: Videos of the training files.
      teachers: Networks of `teacher_checkpoints`, by file.
    """
    training = settings.training
    a_video = _A_VIDEO
    a_video += (
        training.student_views
        * _TRAINING
        * _network_work(settings.student, settings.data)
    )
    if settings.teacher is not None:
        a_video += _TRAINING * _network_work(settings.teacher, settings.data)
    for checkpoint in settings.teacher_checkpoints:
        a_video += _network_work(teachers[checkpoint], settings.data)
    videos = num_videos * training.train_share * training.num_epochs
    return videos * a_video


def _network_work(network: NetworkSettings, schema: DataSchema) -> int:
    """Returns the MACs of one video."""
    key = repr((network, schema))
    if key not in _MEASURED:
        _MEASURED[key] = measure_network(network, schema).macs
    return _MEASURED[key]
