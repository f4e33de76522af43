"""The rows of a batch: from ids or records in JSON, or from a file of CSV or Parquet; large work in a thread.

Belongs here: what is read where, and by which bounds. Does not belong here: how a file is read (``predictions.file_bodies``), and the
answer (``predictions.batch_route``).
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, TypeVar

from churn_api.http.file_type import FileType
from churn_api.predictions.file_bodies import FileBodies
from churn_api.predictions.file_rows import FileRow, asked_of, batch_of
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.predictions.options import Options
from churn_api.predictions.service import Asked, unknown_customer
from churn_api.predictions.streamed import Entry
from churn_api.releases.served import Served
from churn_api.settings import ServiceSettings
from churn_store.storage.online_store import Snapshot

T = TypeVar("T")

LARGE_BODY: Final = 64 * 1024
"""Bytes above which a batch is decoded in a thread."""


@dataclass(frozen=True)
class BatchRows:
    """Reads the bodies of batches.

    Attributes:
        online: features of customers who are named by id.
        threads: threads for what would delay the event loop.
        settings: bounds.
        files: reader of files.
    """

    online: OnlineFeatures
    threads: Executor
    settings: ServiceSettings
    files: FileBodies

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do work in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    async def aside(self, is_large: bool, work: Callable[[], T]) -> T:
        """Do large work in a thread, so that it does not delay other answers."""
        return await self.in_thread(work) if is_large else work()

    async def of_json(self, served: Served, body: bytes, options: Options) -> tuple[Asked, Snapshot | None]:
        """The rows of a body of JSON, and the snapshot that ids were looked up in.

        Raises:
            Problem: if the body does not fit (400), or the online features can't be read or are of another model (503).
        """
        ids, records = await self.aside(len(body) > LARGE_BODY, lambda: served.requests.decode_batch(body))
        if ids is None:
            return records, None
        if not options.use_cache:
            await self.online.require_newest()
        features = await self.online.look_up(ids, served)
        unknown = unknown_customer(features.snapshot)
        return [
            (customer_id, row or unknown) for customer_id, row in zip(ids, features.rows, strict=True)
        ], features.snapshot

    async def whole_file(self, served: Served, body: bytes, kind: FileType) -> Asked:
        """The rows of a file that is answered in one piece.

        Raises:
            Problem: if some of them can't be scored (400), or the file can't be read (400, 415).
        """
        at_most = self.settings.max_batch
        return await self.in_thread(lambda: batch_of(self._rows(served, body, kind, at_most), served.requests))

    async def streamed_file(self, served: Served, body: bytes, kind: FileType) -> Iterator[Entry]:
        """The rows of a file whose answer is streamed; one that can't be scored is the problem.

        Raises:
            Problem: if the file can't be read (400, 415).
        """
        at_most = self.settings.max_upload_rows
        rows = await self.in_thread(lambda: self._rows(served, body, kind, at_most))
        return (Entry(row.line, *asked_of(row, served.requests)) for row in rows)

    def _rows(self, served: Served, body: bytes, kind: FileType, max_rows: int) -> Iterator[FileRow]:
        signature = served.champion.bundle.manifest.signature
        return self.files.rows(body, kind, signature, release=served.champion.short, max_rows=max_rows)
