"""Whether the lake's tables of features and labels have the columns of the present catalogue, and how to rebuild them."""

from collections.abc import Sequence

from churn_assets.features.contracts import features_contract, labels_contract
from churn_assets.features.feature import Feature
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake


def outdated(lake: Lake, features: tuple[Feature, ...], *, has_time: bool, has_kinds: bool) -> list[str]:
    """Complaints about the tables of features and labels whose columns differ from the present catalogue, with the remedy.

    Args:
        lake: the lake to read.
        features: all features of the company.
        has_time: whether the data is a history.
        has_kinds: whether each churn has a kind.
    """
    complaints = []
    for table, contract in (
        ("customer_features", features_contract(features, has_time=has_time)),
        ("churn_labels", labels_contract(has_time=has_time, has_kinds=has_kinds)),
    ):
        if not lake.has(table):
            continue
        stored = set(lake.columns(table)) - {PERIOD}
        new, old = sorted(set(contract.columns) - stored), sorted(stored - set(contract.columns))
        if new or old:
            complaints.append(_rebuild(lake, table, new, old, has_time=has_time))
    return complaints


def _rebuild(lake: Lake, table: str, new: Sequence[str], old: Sequence[str], *, has_time: bool) -> str:
    differ = "; ".join(
        filter(None, [f"it lacks {', '.join(new)}" if new else "", f"it has {', '.join(old)} besides" if old else ""])
    )
    which = ""
    if has_time and (periods := lake.periods(table)):
        which = f" --partition-range {periods[0]}...{periods[-1]}" if len(periods) > 1 else f" --partition {periods[0]}"
    return (
        f"{table} has other columns than the present catalogue: {differ}. Rebuild all its periods in one run: select all "
        "partitions of the asset in the Dagster UI, or `dagster asset materialize -m churn_assets.definitions --select "
        f"{table}{which}` with DAGSTER_HOME set to the folder of dagster.yaml"
    )
