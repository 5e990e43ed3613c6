"""Runs several workers of a verb on this machine.

Usage: distill launch_workers N VERB FLAG ...
"""

import sys
from collections.abc import Sequence

from distill.distributed.launcher import launch_workers


def main(words: Sequence[str]) -> int:
    """Runs the workers; returns the first status that is not 0."""
    if len(words) < 2 or not words[0].isdecimal() or int(words[0]) < 1:
        print(
            "Usage: distill launch_workers N VERB FLAG ... (N: 1 or "
            "more processes; VERB: such as train)",
            file=sys.stderr,
        )
        return 2
    return launch_workers(int(words[0]), ["distill", *words[1:]])
