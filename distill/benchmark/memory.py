"""The memory that this process takes, as the system says."""


def read_megabytes(kind: str) -> float:
    """Returns this process's `VmRSS`, or its peak, `VmHWM`.

    Raises:
      OSError: The system does not say.
    """
    with open("/proc/self/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith(f"{kind}:"):
                return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {kind}.")
