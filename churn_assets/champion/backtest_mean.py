"""The mean AUC of the folds of the newest backtest, as its asset has said it."""

import dagster as dg

BACKTEST = dg.AssetKey("backtest_report")


def backtest_mean_auc(instance: dg.DagsterInstance, family: str) -> float | None:
    """The mean AUC over the folds of the newest backtest, if it was of a family.

    Args:
        instance: instance that remembers the materializations.
        family: name of the family.
    """
    event = instance.get_latest_materialization_event(BACKTEST)
    made = None if event is None else event.asset_materialization
    if made is None:
        return None
    said = {name: made.metadata[name].value for name in ("family", "mean_auc") if name in made.metadata}
    mean = said.get("mean_auc")
    return float(mean) if said.get("family") == family and isinstance(mean, int | float) else None
