"""Judges the periods of a table while a run makes them, and keeps their profiles and findings.

Belongs here: which earlier periods a period is compared with. Does not belong here: the rules (``judge``), and what a run does with a
period that is blocked (the stages).
"""

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from churn_assets.lake.lake import Lake
from churn_assets.periods import Calendar, text
from churn_assets.quality.acceptances import of_table
from churn_assets.quality.findings import write_findings
from churn_assets.quality.judge import Judgement, judge, refused
from churn_assets.quality.profile import Profile, is_raw, profile_of
from churn_assets.quality.profile_table import read_profiles, write_profiles
from churn_assets.settings.quality import Quality
from churn_store.monitoring.facts import QualityFinding


class TableQuality:
    """The quality of one table's periods.

    The first period of all is never compared with: it has whatever is older.

    Args:
        lake: lake of the company.
        table: name of the table.
        calendar: calendar of its periods.
        rules: section ``quality``.
        versions: data version of each period that stands.
        rows: function that returns the rows of a period that stands.
    """

    def __init__(
        self,
        lake: Lake,
        table: str,
        calendar: Calendar,
        rules: Quality,
        *,
        versions: Mapping[str, str],
        rows: Callable[[str], pl.DataFrame],
    ) -> None:
        self._lake, self._table, self._calendar, self._rules, self._rows = lake, table, calendar, rules, rows
        self._versions = {period: version for period, version in versions.items() if period != text(calendar.first)}
        self._profiles = read_profiles(lake, table, self._versions)
        self._accepted = of_table(lake, table)
        self._judged: dict[str, Sequence[QualityFinding]] = {}
        self._now: dict[str, Profile] = {}

    def judge(self, period: str, frame: pl.DataFrame, *, refused_by: Sequence[str] = ()) -> Judgement:
        """Judge a period by its rows.

        Args:
            period: key of the period.
            frame: rows of the period.
            refused_by: what other checks found that refuse the period; it is kept beside what is found here.
        """
        self._now[period] = self._profile(period, frame)
        earlier = sorted(key for key in self._versions if key < period)[-self._rules.history :]
        judgement = judge(
            self._now[period],
            [self._of(key) for key in earlier],
            table=self._table,
            rules=self._rules,
            cadence=self._calendar.cadence,
            accepted=self._accepted,
        )
        self._judged[period] = [*self._refused(period, refused_by), *judgement.findings]
        return judgement

    def unread(self, reasons: Mapping[str, str]) -> None:
        """Keep why periods could not be read."""
        self._judged.update({period: self._refused(period, [reason]) for period, reason in reasons.items()})

    def stands(self, period: str, version: str | None) -> None:
        """Say with which data version a judged period is written, so that later ones are compared with it; `None` if it is not."""
        if version is not None and period != text(self._calendar.first):
            self._versions[period], self._profiles[period] = version, self._now[period]

    def finish(self, run_id: str) -> None:
        """Keep the profiles and what was found.

        Args:
            run_id: id of the run that judged.
        """
        if self._judged:
            kept = {period: (self._versions[period], profile) for period, profile in self._profiles.items()}
            write_profiles(self._lake, self._table, kept, run_id=run_id)
            write_findings(self._lake, self._table, self._judged, run_id=run_id)

    def _refused(self, period: str, reasons: Sequence[str]) -> list[QualityFinding]:
        return [refused(self._table, period, reason) for reason in reasons]

    def _of(self, period: str) -> Profile:
        if period not in self._profiles:
            self._profiles[period] = self._profile(period, self._rows(period))
        return self._profiles[period]

    def _profile(self, period: str, frame: pl.DataFrame) -> Profile:
        bounds_s = self._calendar.bounds_s(period) if is_raw(self._table) else None
        return profile_of(frame, self._table, period, bounds_s=bounds_s)
