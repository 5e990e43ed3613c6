"""A study's progress, and an estimate of the time for the rest."""

import functools
import statistics
import time

import tensorflow as tf

from distill.data.files import find_files
from distill.data.pipeline import estimate_num_records
from distill.networks.network import measure_network
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.schema import DataSchema
from distill.study.plan import Study, Unit
from distill.study.runner import read_result

# A training reaches about this share of a matrix product's rate.
_EFFICIENCY = 0.25
_PRODUCT_SIZE = 1024
# Seconds to build and trace the networks of a training, and to score it.
_START_SECONDS = 8.0
# A training step costs a forward pass, and twice as much for gradients.
_TRAINING = 3
# Cost in MACs of reading and parsing a video.
_MACS_PER_VIDEO = 1e6


class Estimate:
    """Estimates the seconds of a study's units.

    The rate comes from the finished units; before the first one it is a share
    of this machine's rate of a large matrix product.

    Attributes:
      todo: The units that are not done.
      basis: The origin of the rate, in words.
    """

    def __init__(self, study: Study):
        self.basis = "a share of this machine's rate of a matrix product"
        self.todo: list[Unit] = []
        self._teachers = {
            str(teacher.checkpoint): teacher.student
            for teacher in study.teachers
        }
        self._rates: list[float] = []
        for unit in (*study.teachers, *study.units):
            result = read_result(unit)
            if result is None:
                self.todo.append(unit)
            else:
                self.finish(unit, result["seconds"])

    def finish(self, unit: Unit, seconds: float | None) -> None:
        """Learns the rate from a finished unit, unless `seconds` is None."""
        if seconds:
            self.basis = "the trainings that are done"
            starts = _START_SECONDS * len(unit.stages)
            self._rates.append(
                self._macs(unit) / max(seconds - starts, 0.1 * seconds)
            )
        self.todo = [other for other in self.todo if other is not unit]

    def seconds(self, unit: Unit) -> float:
        """Returns the estimated seconds of a unit."""
        rates = self._rates or [_EFFICIENCY * _product_rate()]
        rate = statistics.median(rates)
        return _START_SECONDS * len(unit.stages) + self._macs(unit) / rate

    def seconds_left(self) -> float:
        """Returns the estimated seconds of all units that are not done."""
        return sum(map(self.seconds, self.todo))

    def _macs(self, unit: Unit) -> float:
        return sum(map(self._stage_macs, unit.stages))

    def _stage_macs(self, settings: RunSettings) -> float:
        training, data = settings.training, settings.data
        student = _network_macs(settings.network("student"), data)
        of_video = _MACS_PER_VIDEO
        of_video += training.student_views * _TRAINING * student
        for checkpoint in settings.teacher_checkpoints:
            of_video += _network_macs(self._teachers[checkpoint], data)
        if settings.teacher is not None:
            of_video += _TRAINING * _network_macs(settings.teacher, data)
        share = training.train_share * training.num_epochs
        return _num_videos(training.train_data_pattern) * share * of_video


# Building a network takes a second.
_MACS: dict[str, int] = {}


def _network_macs(network: NetworkSettings, schema: DataSchema) -> int:
    key = repr((network, schema))  # the settings cannot be hashed
    if key not in _MACS:
        _MACS[key] = measure_network(network, schema).macs
    return _MACS[key]


@functools.cache
def _num_videos(pattern: str) -> int:
    return estimate_num_records(find_files(pattern))


@functools.cache
def _product_rate() -> float:
    matrix = tf.random.normal([_PRODUCT_SIZE, _PRODUCT_SIZE])
    tf.matmul(matrix, matrix).numpy()
    start = time.perf_counter()
    for _ in range(5):
        matrix = tf.matmul(matrix, matrix) / _PRODUCT_SIZE
    matrix.numpy()
    return 5 * _PRODUCT_SIZE**3 / (time.perf_counter() - start)


def format_seconds(seconds: float) -> str:
    """Returns `2 h 05 min`, `12 min` or `40 s`."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if minutes >= 2 else f"{seconds:.0f} s"
