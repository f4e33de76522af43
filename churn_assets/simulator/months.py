"""The months of a synthetic company."""

from datetime import date

from churn_assets.periods import Calendar
from churn_assets.simulator.source import SyntheticSettings


def months_of(settings: SyntheticSettings) -> list[date]:
    """The first days of the months in which the company's ``customers`` sign up."""
    calendar = Calendar("monthly", settings.start)
    months = [calendar.first]
    while len(months) < settings.months:
        months.append(calendar.next(months[-1]))
    return months
