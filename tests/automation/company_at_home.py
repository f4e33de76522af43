"""A company's parts by its settings. Does not belong here: the processes and the daemon that work on them."""

import datetime as dt

from churn_assets.lake.lake import Lake
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings


class CompanyAtHome:
    """The parts of an installation that follow from its settings."""

    settings: Settings

    @property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(self.settings.lake_url)

    @property
    def serving(self) -> ServingStore:
        """The serving database and the release files."""
        return ServingStore(self.settings.database_url, self.settings.releases_url, self.settings.online_url)

    def set_clock(self, day: str) -> None:
        """Let the platform's clock stand at a day."""
        self.settings.clock.fix(dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC))
