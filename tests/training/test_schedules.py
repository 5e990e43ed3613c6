"""Learning rates against the staircase by hand."""

import pytest

from distill.settings.training import TrainingSettings
from distill.training.schedules import learning_rate


@pytest.mark.parametrize(
    ("examples_seen", "expected"),
    [(0, 0.1), (999, 0.1), (1000, 0.08), (1999, 0.08), (3500, 0.0512)],
)
def test_the_rate_falls_after_every_full_number_of_examples(
    examples_seen, expected
):
    training = TrainingSettings(
        train_data_pattern="x",
        base_learning_rate=0.1,
        learning_rate_decay=0.8,
        learning_rate_decay_examples=1000,
    )
    assert learning_rate(training, examples_seen) == pytest.approx(expected)


def test_without_a_decay_the_rate_stays():
    training = TrainingSettings(train_data_pattern="x", base_learning_rate=0.1)
    assert learning_rate(training, 10**9) == 0.1


def test_a_decay_of_zero_stops_learning_after_the_first_stretch():
    training = TrainingSettings(
        train_data_pattern="x",
        base_learning_rate=0.1,
        learning_rate_decay=0.0,
        learning_rate_decay_examples=10,
    )
    assert [learning_rate(training, seen) for seen in (9, 10)] == [0.1, 0.0]
