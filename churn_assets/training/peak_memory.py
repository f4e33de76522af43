"""The peak memory of this process; it is the job's need where each job has a process of its own."""

import resource
import sys

MEBIBYTE = 2**20


def peak_memory_mib() -> float:
    """The peak resident memory in MiB since the process began; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MEBIBYTE if sys.platform == "darwin" else peak / 1024
