"""The mean AUC of the folds of the newest backtest, from the metadata of its asset."""

import dagster as dg

BACKTEST = dg.AssetKey("backtest_report")


def backtest_mean_auc(instance: dg.DagsterInstance, family: str) -> float | None:
    """The mean AUC over the folds of the newest backtest; `None` if there is none, or if it is of another family.

    Args:
        instance: Dagster instance with the materializations.
        family: name of the family.
    """
    event = instance.get_latest_materialization_event(BACKTEST)
    materialization = None if event is None else event.asset_materialization
    if materialization is None:
        return None
    metadata = materialization.metadata
    values = {name: metadata[name].value for name in ("family", "mean_auc") if name in metadata}
    mean = values.get("mean_auc")
    return float(mean) if values.get("family") == family and isinstance(mean, int | float) else None
