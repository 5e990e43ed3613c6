"""Workers with different settings are refused before they begin."""

import dataclasses

import numpy as np
import pytest

from distill.distributed.workers import Workers
from distill.settings.run_options import RunOptions
from distill.training import agreement
from distill.training.agreement import check_agreement
from tests.settings_of_runs import make_settings

OPTIONS = RunOptions("/here/run", eval_data_pattern="/here/validate-*")


class Gathered(Workers):
    """A worker that gathers what another one said before."""

    def gather(self, values):
        own = np.asarray(values)
        self.said.append(own)
        return [self.said[0], own]


def check(settings, options=OPTIONS):
    """Lets a chief of other settings and options meet a worker."""
    said = []
    for rank, (one, other) in enumerate(
        [(make(), OPTIONS), (settings, options)]
    ):
        worker = Gathered(rank=rank, num_workers=2)
        object.__setattr__(worker, "said", said)
        check_agreement(worker, one, other)


def make(**training):
    settings = make_settings()
    changed = dataclasses.replace(settings.training, **training)
    return dataclasses.replace(settings, training=changed)


@pytest.mark.parametrize(
    ("training", "options", "name"),
    [
        ({"batch_size": 9}, {}, "training.batch_size"),
        ({"seed": 99}, {}, "training.seed"),
        ({"base_learning_rate": 0.125}, {}, "training.base_learning_rate"),
        ({"train_data_pattern": "/x/other-*"}, {}, "train_data_pattern"),
        ({}, {"shard_by": "batch"}, "shard_by"),
        ({}, {"eval_data_pattern": None}, "eval_data_pattern"),
        ({}, {"checkpoint_every_steps": 3}, "checkpoint_every_steps"),
    ],
)
def test_a_setting_that_differs_is_named_with_both_values(
    training, options, name
):
    with pytest.raises(ValueError, match=rf"{name} is .* for the chief, .* fo"):
        check(make(**training), dataclasses.replace(OPTIONS, **options))


def test_files_may_lie_in_other_directories_of_each_machine():
    pattern = make().training.train_data_pattern.rpartition("/")[2]
    options = dataclasses.replace(
        OPTIONS,
        train_dir="/there/run",
        eval_data_pattern="/there/validate-*",
        quiet=True,
    )
    check(make(train_data_pattern=f"/there/{pattern}"), options)


def test_one_process_agrees_with_itself(monkeypatch):
    monkeypatch.delattr(agreement, "_describe")
    check_agreement(Workers(), make(), OPTIONS)
