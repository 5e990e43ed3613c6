"""Joint training steps of the hierarchical LSTM."""

from tools.benchmark.networks import (
    hierarchical_lstms,
    make_batch,
    make_distiller,
)
from tools.benchmark.plain_step import PlainStep, check_steps
from tools.benchmark.plan import Plan, Sizes
from tools.benchmark.rows import Row
from tools.benchmark.steps import run_step, time_steps

_SHORTEST = 120


def measure(plan: Plan) -> list[Row]:
    """Returns the rows of the joint step.

    Raises:
      ValueError: The plain formulation gives other predictions.
    """
    sizes = plan.sizes
    case = hierarchical_lstms(sizes, "joint step", "joint")
    distiller = make_distiller(case, sizes)
    mixed = make_distiller(case, sizes, "bfloat16")
    plain = PlainStep(distiller)
    full = make_batch(case, sizes, sizes.max_frames)
    short = make_batch(case, sizes, shortest_video(sizes))
    check_steps(plain, short)
    seconds, rates = time_steps(
        {
            "plain": lambda: plain.train_step(full).numpy(),
            "full": lambda: run_step(distiller, full),
            "short": lambda: run_step(distiller, short),
            "mixed": lambda: run_step(mixed, full),
        },
        plan.slow_repeats,
    )
    floors = {
        "full": rates.floor(distiller, full, full),
        "short": rates.floor(distiller, short, short),
        "mixed": rates.floor(distiller, full, full, "bfloat16"),
    }
    return _rows(sizes, seconds, floors)


def _rows(
    sizes: Sizes, seconds: dict[str, float], floors: dict[str, float]
) -> list[Row]:
    return [
        Row(
            "train",
            work,
            "s a step",
            seconds[name],
            seconds[baseline],
            baseline_name,
            floors[name],
            target,
        )
        for name, work, baseline, baseline_name, target in (
            (
                "full",
                f"joint step, all videos {sizes.max_frames} frames",
                "plain",
                "a call a block",
                "<= 1.2 x floor",
            ),
            (
                "short",
                f"joint step, {shortest_video(sizes)} to "
                f"{sizes.max_frames} frames",
                "full",
                "ours, full length",
                "<= 0.85 x baseline",
            ),
            (
                "mixed",
                "joint step in bfloat16",
                "full",
                "ours, float32",
                "<= 0.62 x baseline",
            ),
        )
    ]


def shortest_video(sizes: Sizes) -> int:
    """Returns the frames of the shortest video of mixed lengths."""
    return min(_SHORTEST, sizes.max_frames)
