"""The copy of what serves, which several workers write."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from churn_api.releases.last_good import LastGood
from churn_store.releases.bundles import load_bundle
from churn_store.releases.log import newest
from tests.api.conftest import Installation
from tests.release_factory import train

pytestmark = pytest.mark.integration

WORKER = """
import sys, time
from pathlib import Path
from churn_api.releases.last_good import LastGood
from churn_store.releases.log import Serving
from churn_store.storage.digest_store import DigestStore

class Slow(DigestStore):
    def get(self, digest, *, at_most):
        content = super().get(digest, at_most=at_most)
        time.sleep(float(sys.argv[4]))
        return content

row = Serving(int(sys.argv[5]), sys.argv[3], None, 0.0, "x", "x", 0)
LastGood(Path(sys.argv[1]), max_age_s=1e9, now_s=time.time).keep(Slow(sys.argv[2]), row, [sys.argv[3]])
"""


def test_two_workers_that_copy_different_releases_leave_one_whole_copy(tmp_path: Path) -> None:
    with Installation.make(tmp_path) as made:
        champions = []
        for seed in (0, 1):
            made.release(train(seed=seed))
            row = newest(made.engine)
            assert row is not None
            champions.append(row.champion)
        folder, url = tmp_path / "copy", made.config.releases_url
        workers = [
            subprocess.Popen([sys.executable, "-c", WORKER, str(folder), url, champion, pause, str(epoch)])
            for epoch, (champion, pause) in enumerate(zip(champions, ("1.0", "0.7"), strict=True), start=1)
        ]
        assert [worker.wait(60) for worker in workers] == [0, 0]
        copy = LastGood(folder, max_age_s=1e9, now_s=time.time)
        kept = copy.row()
        assert kept is not None
        assert load_bundle(copy.files(), kept.champion).digest == kept.champion
        assert copy.confirm(kept)
        other = next(champion for champion in champions if champion != kept.champion)
        assert not copy.confirm(kept.__class__(9, other, None, 0.0, "x", "x", 0))
        assert copy.row() == kept
