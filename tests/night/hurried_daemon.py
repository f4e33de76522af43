"""Dagster's daemon, started as ``dagster-daemon`` starts it, that looks at backfills every second and not every 30, which no setting says."""

from dagster._daemon import controller
from dagster._daemon.cli import main

BACKFILLS_EVERY_S = 1

if __name__ == "__main__":
    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = BACKFILLS_EVERY_S
    main()
