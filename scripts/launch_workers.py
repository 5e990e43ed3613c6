"""Runs several workers of a command on this machine.

Usage: python -m scripts.launch_workers N SCRIPT FLAG ...
"""

import sys

from distill.launching import launch_workers


def main() -> int:
    """Runs the workers; returns the first status that is not 0."""
    words = sys.argv[1:]
    if len(words) < 2 or not words[0].isdecimal() or int(words[0]) < 1:
        print(
            "Usage: bash scripts/launch_workers.sh N SCRIPT FLAG ... (N: 1 or "
            "more processes; SCRIPT: such as scripts.train)",
            file=sys.stderr,
        )
        return 2
    return launch_workers(int(words[0]), words[1:])


if __name__ == "__main__":
    sys.exit(main())
