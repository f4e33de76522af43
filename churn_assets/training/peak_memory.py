"""The most memory that this process has had, which is what a job needs where a process runs one job."""

import resource
import sys

MEBIBYTE = 2**20


def peak_memory_mib() -> float:
    """The peak of the resident memory in MiB, since the process began; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MEBIBYTE if sys.platform == "darwin" else peak / 1024
