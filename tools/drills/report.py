"""The summary of drills: a row for each stage."""

from collections.abc import Sequence

from tools.drills.drill import Drill

TITLES = (
    "stage",
    "drills",
    "kills",
    "in a write",
    "between writes",
    "before any file",
    "too late",
    "left over",
    "equal",
)


def summarize(drills: Sequence[Drill]) -> list[list[str]]:
    """Returns the rows of a table: one for each stage, then the sums."""
    names = list(dict.fromkeys(drill.stage for drill in drills))
    rows = [
        [name, *_count([d for d in drills if d.stage == name])]
        for name in names
    ]
    return [*rows, ["all", *_count(drills)]]


def _count(drills: Sequence[Drill]) -> list[str]:
    kills = [kill for drill in drills for kill in drill.kills]
    equal = sum(not drill.problems for drill in drills)
    counts = (
        len(drills),
        _count_kills(drills),
        *(
            sum(kill.hit.startswith(what) for kill in kills)
            for what in ("half", "after", "before")
        ),
        sum(kill.came_late for kill in kills),
        sum(kill.leftovers for kill in kills),
    )
    return [*map(str, counts), f"{equal} of {len(drills)}"]


def _count_kills(drills: Sequence[Drill]) -> int:
    return sum(not kill.came_late for drill in drills for kill in drill.kills)


def conclude(drills: Sequence[Drill]) -> str:
    """Returns the outcome of all drills in a sentence."""
    kills = _count_kills(drills)
    bad = sum(bool(drill.problems) for drill in drills)
    if bad:
        return f"{kills} kills: {bad} of {len(drills)} drills went wrong"
    return (
        f"{kills} kills in {len(drills)} drills: no file under a final name "
        "was ever half written, and every stage ended as if undisturbed"
    )


def render_markdown(command: str, drills: Sequence[Drill]) -> str:
    """Returns the command, the summary and a line for each drill."""
    lines = ["# Drills", "", f"`{command}`", "", conclude(drills) + ".", ""]
    rows = [TITLES, ["---"] * len(TITLES), *summarize(drills)]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    lines += ["", "```"]
    lines += [f"{n:3d} {drill}" for n, drill in enumerate(drills, start=1)]
    return "\n".join([*lines, "```", ""])
