"""Jobs for processes of their own, which need nothing but Python."""

import os
import signal


class Doer:
    """Does odd jobs."""

    def __call__(self, job: str) -> str:
        """Returns a job's name in capitals, if it survives it."""
        if job == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "fail":
            os._exit(3)
        return job.upper()


def pid_of(job: str) -> str:
    """Returns a job and the number of the process that does it."""
    return f"{job} {os.getpid()}"


def make_pid_of():
    """Returns the function that does the jobs."""
    return pid_of
