"""Probabilities that take seconds to compute, kept in memory and, where there is a folder, in files for other processes.

Does not belong here: what is computed (``forward_filter``).
"""

import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

from churn_assets.simulator.law import Floats, Integers

Found = tuple[Integers, Floats]


class ProbabilityCache:
    """Positions of customers and a probability of each, by what they were computed from.

    A file is written whole under its final name or not at all, so several processes may share a folder. One that can't be read is computed
    again; a folder that can't be written costs the time alone.

    Args:
        folder: folder of the files; `None` keeps them in memory alone.
        version: text that changes whenever other numbers could come out.
    """

    def __init__(self, folder: Path | None, version: str) -> None:
        self._folder, self._version = folder, version
        self._kept: dict[tuple[int, ...], Found] = {}

    def get(self, key: tuple[int, ...], compute: Callable[[], Found]) -> Found:
        """What is kept under a key, computed where it is not."""
        if key not in self._kept:
            self._kept[key] = self._from_file(key, compute)
        return self._kept[key]

    def _from_file(self, key: tuple[int, ...], compute: Callable[[], Found]) -> Found:
        if self._folder is None:
            return compute()
        file = self._folder / f"{hashlib.sha256(f'{self._version} {key}'.encode()).hexdigest()}.npz"
        try:
            with np.load(file, allow_pickle=False) as kept:
                return kept["position"], kept["probability"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            found = compute()
        self._write(self._folder, file, found)
        return found

    @staticmethod
    def _write(folder: Path, file: Path, found: Found) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=folder, delete=False) as beside:
                try:
                    np.savez(beside, position=found[0], probability=found[1])
                    beside.flush()
                    os.replace(beside.name, file)
                finally:
                    Path(beside.name).unlink(missing_ok=True)
        except OSError:
            return
