"""Frame budgets: widths, draws and refused combinations."""

import re

import pytest

from distill.models.frame_budget import (
    ALL_FRAMES,
    EVERY_N,
    SELECTIONS,
    FrameBudget,
)

OF_K_FRAMES = [name for name in SELECTIONS if name != EVERY_N]


def random_uniform(fewest_frames=None):
    return FrameBudget(
        "uniform_k",
        num_frames=30,
        random_offset=True,
        fewest_frames=fewest_frames,
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"selection": "every"},
            "Unknown frame_selection 'every'. Did you mean 'every_n'? "
            "Choices: every_n, first_k, first_middle_last_k, last_k, middle_k, "
            "nested_k, random_k, segment_attention, segment_means, uniform_k.",
        ),
        ({"every_n": 0}, "every_n must be 1 or more, got 0."),
        *(
            (
                {"every_n": 10, name: 5},
                "frame_selection every_n keeps every n-th frame whatever their "
                "number: frame_budget and fewest_frames belong to the others, "
                "uniform_k, random_k, first_k, middle_k, last_k, "
                "first_middle_last_k, nested_k, segment_means, "
                "segment_attention.",
            )
            for name in ("num_frames", "fewest_frames")
        ),
        *(
            (
                {"selection": name},
                f"frame_selection {name} needs frame_budget, its number of "
                "frames.",
            )
            for name in OF_K_FRAMES
        ),
        (
            {"selection": "first_k", "num_frames": 0},
            "frame_budget must be 1 or more, got 0.",
        ),
        (
            {"selection": "last_k", "num_frames": 5, "every_n": 2},
            "every_n=2 belongs to frame_selection every_n, not to last_k.",
        ),
        (
            {"selection": "nested_k", "num_frames": 5, "fewest_frames": 0},
            "fewest_frames must be 1 or more, got 0.",
        ),
        (
            {"selection": "nested_k", "num_frames": 5, "fewest_frames": 6},
            "fewest_frames must be at most the frame_budget 5, got 6.",
        ),
        (
            {
                "selection": "segment_attention",
                "num_frames": 5,
                "fewest_frames": 2,
            },
            "fewest_frames is not for frame_selection segment_attention: a "
            "network attends to one number of parts.",
        ),
        *(
            (
                {"selection": name, "num_frames": 5, "random_offset": True},
                "random_offset is for every_n, uniform_k, segment_means, not "
                f"for frame_selection {name}.",
            )
            for name in OF_K_FRAMES
            if name not in ("uniform_k", "segment_means")
        ),
    ],
)
def test_what_does_not_fit_is_an_error(fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FrameBudget(**fields)


@pytest.mark.parametrize(
    ("max_frames", "every_n", "expected"),
    [(300, 1, 300), (300, 10, 30), (300, 30, 10), (301, 10, 31), (5, 10, 1)],
)
def test_the_width_of_every_n_rounds_up(max_frames, every_n, expected):
    assert FrameBudget.every(every_n).width(max_frames) == expected
    assert len(range(0, max_frames, every_n)) == expected


@pytest.mark.parametrize("selection", OF_K_FRAMES)
def test_the_width_of_k_frames_is_k_up_to_as_many_as_there_are(selection):
    budget = FrameBudget(selection, num_frames=30)
    assert budget.width(300) == budget.width(30) == 30
    message = r"^frame_budget must be at most max_frames 29, got 30\.$"
    with pytest.raises(ValueError, match=message):
        budget.width(29)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (ALL_FRAMES, 0),
        (FrameBudget.every(10), 0),
        (FrameBudget(every_n=10, random_offset=True), 1),
        (FrameBudget("uniform_k", num_frames=30), 0),
        (FrameBudget("nested_k", num_frames=30, fewest_frames=5), 1),
        (random_uniform(), 1),
        (random_uniform(fewest_frames=5), 2),
        (FrameBudget("segment_means", num_frames=30), 0),
        (FrameBudget("segment_attention", num_frames=30), 0),
        # One for every border between two parts.
        (FrameBudget("segment_means", num_frames=30, random_offset=True), 29),
        # One for every frame, of which the least are taken.
        (FrameBudget("random_k", num_frames=30), 300),
        (FrameBudget("random_k", num_frames=30, fewest_frames=5), 301),
    ],
)
def test_every_random_choice_takes_a_draw(budget, expected):
    found = budget.num_draws(300)
    assert found == expected
    assert type(found) is int


@pytest.mark.parametrize(
    ("budget", "name"),
    [
        (ALL_FRAMES, "every_n=1"),
        (FrameBudget.every(10), "every_n=10"),
        (random_uniform(fewest_frames=5), "uniform_k=30"),
        (FrameBudget("middle_k", num_frames=6), "middle_k=6"),
    ],
)
def test_a_budget_is_named_by_what_it_keeps_at_evaluation(budget, name):
    assert budget.name == name
    assert budget.at_evaluation().name == budget.name


@pytest.mark.parametrize(
    "budget",
    [
        FrameBudget(every_n=10, random_offset=True),
        random_uniform(),
        random_uniform(fewest_frames=5),
        FrameBudget("nested_k", num_frames=30, fewest_frames=5),
        FrameBudget("random_k", num_frames=30, fewest_frames=5),
    ],
)
def test_evaluation_has_no_randomness_of_training_alone(budget):
    left = budget.at_evaluation()
    assert not left.random_offset
    assert left.fewest_frames is None
    for name in ("selection", "every_n", "num_frames"):
        assert getattr(left, name) == getattr(budget, name)
    # The frames of random_k are drawn at evaluation as well.
    expected = 300 if budget.selection == "random_k" else 0
    assert left.num_draws(300) == expected
    assert left.at_evaluation() == left


def test_only_every_frame_keeps_all():
    assert ALL_FRAMES.keeps_all
    assert FrameBudget.every(1) == ALL_FRAMES
    assert not FrameBudget.every(2).keeps_all
    assert not FrameBudget("first_k", num_frames=300).keeps_all
