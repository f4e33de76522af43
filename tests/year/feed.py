"""The company's files, month by month, and what goes wrong with them on their way.

A file comes late, twice under two names, or cut off in the middle of a line. ``mend`` puts everything right. Belongs here: files.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from churn_store.mapping.tables import Table
from tests.automation.company import TABLES

Trouble = Literal["late", "twice", "torn"]


@dataclass
class Feed:
    """What arrives in the folder ``data``.

    Attributes:
        right: folder with the right files of every month.
        data: folder that the platform reads.
        next_time: troubles of the next delivery, by table.
        wrong: files of ``data`` that are not as they should be.
    """

    right: Path
    data: Path
    next_time: dict[Table, Trouble] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)

    def deliver(self, month: str) -> None:
        """Let the files of a month arrive, with the troubles that were announced."""
        for table in TABLES:
            name, trouble = f"{table}-{month}.csv", self.next_time.pop(table, None)
            if trouble is not None:
                self.wrong.add(name)
            if trouble == "torn":
                content = (self.right / name).read_bytes()
                line = content.rindex(b"\n", 0, len(content) // 2)
                (self.data / name).write_bytes(content[: content.index(b",", line) + 1])
            elif trouble != "late":
                shutil.copyfile(self.right / name, self.data / name)
            if trouble == "twice":
                shutil.copyfile(self.right / name, self.data / f"{table}-{month}-again.csv")

    def mend(self) -> None:
        """Put every file right."""
        for name in sorted(self.wrong):
            shutil.copyfile(self.right / name, self.data / name)
            (self.data / name.replace(".csv", "-again.csv")).unlink(missing_ok=True)
        self.wrong.clear()
        self.next_time.clear()
