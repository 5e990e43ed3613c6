"""Learning rates over the course of training."""

from distill.settings.training import TrainingSettings


def learning_rate(training: TrainingSettings, examples_seen: int) -> float:
    """Returns the learning rate after a number of examples.

    The base rate times the decay for every full
    `learning_rate_decay_examples` seen (YouTube-8M starter code: staircase).
    """
    decays = examples_seen // training.learning_rate_decay_examples
    return training.base_learning_rate * training.learning_rate_decay**decays
