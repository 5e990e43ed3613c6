"""How far a study has come, and how long the rest will take."""

import statistics
import time

import tensorflow as tf

from distill.data.files import find_files
from distill.data.pipeline import estimate_num_records
from distill.settings.run import NetworkSettings
from distill.study.plan import Study, Unit
from distill.study.runner import read_result
from distill.study.work import training_work

# Of a large matrix product's rate, what a training reaches by and large.
_EFFICIENCY = 0.25
_PRODUCT_SIZE = 1024
# Building and tracing the networks of a training, and scoring it.
_START_SECONDS = 8.0


class Estimate:
    """Estimates the seconds of a study's units.

    The rate is that of the units that are done; before the first it is a
    share of this machine's rate of a large matrix product.

    Args:
      study: The study.
    """

    def __init__(self, study: Study):
        self.study = study
        self._networks: dict[str, NetworkSettings] = {
            str(teacher.checkpoint): teacher.stages[-1].student
            for teacher in study.teachers
        }
        self._videos: dict[str, int] = {}
        self._rates: list[float] = []
        self._is_measured = False
        self.basis = "nothing yet"
        self.todo: list[Unit] = []
        for unit in (*study.teachers, *study.units):
            result = read_result(unit)
            if result is None:
                self.todo.append(unit)
            else:
                self.finish(unit, result["seconds"])

    def finish(self, unit: Unit, seconds: float | None) -> None:
        """Learns from a unit that is done; seconds of None tell nothing."""
        if seconds:
            if not self._is_measured:
                self._rates.clear()
            self._is_measured = True
            self.basis = "the trainings that are done"
            starts = _START_SECONDS * len(unit.stages)
            self._rates.append(
                self._work(unit) / max(seconds - starts, 0.1 * seconds)
            )
        self.todo = [other for other in self.todo if other is not unit]

    def seconds(self, unit: Unit) -> float:
        """Returns how long a unit will take."""
        if not self._rates:
            self._rates.append(_EFFICIENCY * _product_rate())
            self.basis = "a share of this machine's rate of a matrix product"
        starts = _START_SECONDS * len(unit.stages)
        return starts + self._work(unit) / statistics.median(self._rates)

    def seconds_left(self) -> float:
        """Returns how long all that is not done will take."""
        return sum(self.seconds(unit) for unit in self.todo)

    def _work(self, unit: Unit) -> float:
        return sum(
            training_work(
                stage,
                self._num_videos(stage.training.train_data_pattern),
                self._networks,
            )
            for stage in unit.stages
        )

    def _num_videos(self, pattern: str) -> int:
        if pattern not in self._videos:
            self._videos[pattern] = estimate_num_records(find_files(pattern))
        return self._videos[pattern]


def _product_rate() -> float:
    """Returns the MACs a second of a large matrix product."""
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
