"""Reading a release's ``reference.parquet``: no more of it than a sample may be, however little its file is.

A few kilobytes of Parquet can say that they are gigabytes, and a damaged file makes Polars end the process that reads it (an
allocation that fails aborts). So what the footer says is refused first, and a child process with little memory reads the file
before this one does: run as a program, this module is that child.
"""

import io
import signal
import sys
from typing import TYPE_CHECKING

from churn_store.errors import ReleaseError
from churn_store.releases.child import confine, run_child

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 1_000_000
LARGEST_READ = 128 * 1024 * 1024
"""What a sample may take in memory: 20,000 rows of 800 numbers. A file may be a thousandth of what it becomes."""

TOO_LARGE = 3
"""How the child ends that found more."""

LARGEST_UNPACKED = 512 * 1024 * 1024
CHILD_BYTES = 4 * LARGEST_UNPACKED
CHILD_S = 20


def read_sample(content: bytes) -> "pl.DataFrame":
    """The sample of training rows that drift is measured against.

    Raises:
        ReleaseError: no Parquet, damaged, or more than a sample.
    """
    _require_modest(content)
    ended = run_child(__name__, [content], memory=CHILD_BYTES, cpu_s=CHILD_S, within_s=2.0 * CHILD_S)
    if ended.status is None or ended.status == -signal.SIGXCPU:
        raise ReleaseError(f"reference.parquet can't be read within {CHILD_S} s")
    if ended.status == TOO_LARGE:
        raise ReleaseError(f"reference.parquet takes more than {LARGEST_READ} bytes when it is read; a sample takes less")
    if ended.status != 0:
        raise ReleaseError("reference.parquet can't be read: it is damaged")
    return _read(content)


def _require_modest(content: bytes) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415 - see _read
    from pyarrow import ArrowException  # noqa: PLC0415

    try:
        footer = pq.ParquetFile(io.BytesIO(content)).metadata
        groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    except (ArrowException, OSError, ValueError, MemoryError) as error:
        raise ReleaseError(f"reference.parquet can't be read: {type(error).__name__}") from error
    rows = max(footer.num_rows, sum(group.num_rows for group in groups))
    unpacked = sum(group.total_byte_size for group in groups)
    if rows > MOST_ROWS or unpacked > LARGEST_UNPACKED:
        raise ReleaseError(
            f"reference.parquet says that it holds {rows} rows and {unpacked} bytes; a sample has at most {MOST_ROWS} rows and "
            f"{LARGEST_UNPACKED} bytes"
        )


def _read(content: bytes) -> "pl.DataFrame":
    import polars as pl  # noqa: PLC0415 - not before a sample is read: predictions need no frame

    return pl.read_parquet(io.BytesIO(content), n_rows=MOST_ROWS)


if __name__ == "__main__":
    confine(sys.argv[1:])
    sys.exit(TOO_LARGE if _read(sys.stdin.buffer.read()).estimated_size() > LARGEST_READ else 0)
