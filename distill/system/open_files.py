"""The limit on a process's open files."""

import os
import resource


def free_descriptors() -> int:
    """Returns how many more files and sockets this process may open."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        most = 2**30
    return most - len(os.listdir("/dev/fd"))
