"""The contract of the history of drift."""

import pandera.polars as pa
import polars as pl

from churn_assets.contracts import SHA256_LENGTH, contract

WINDOW_COLUMNS: dict[str, type[pl.DataType]] = {
    "of": pl.String,
    "segment": pl.String,
    "release": pl.String,
    "baseline": pl.String,
    "window_rows": pl.Int64,
    "state": pl.String,
    "verdict": pl.String,
    "since": pl.String,
    "unusual": pl.Float64,
    "mean_score": pl.Float64,
    "positive_rate": pl.Float64,
}
"""What a row says of its window; the same in all rows of a window and segment."""

MOVE_COLUMNS: dict[str, type[pl.DataType]] = {
    "feature": pl.String,
    "rows": pl.Int64,
    "ks": pl.Float64,
    "welch_t": pl.Float64,
    "psi": pl.Float64,
    "wasserstein": pl.Float64,
    "chi_square": pl.Float64,
    "jensen_shannon": pl.Float64,
    "p_value": pl.Float64,
    "cut": pl.Float64,
    "mean": pl.Float64,
    "baseline_mean": pl.Float64,
    "mean_shift": pl.Float64,
    "missing": pl.Float64,
    "importance": pl.Float64,
    "judged": pl.Boolean,
    "drifted": pl.Boolean,
}
"""What a row says of a feature; all but its name null where nothing could be judged."""

KEY = ("of", "segment", "feature")
"""One row each, in a window."""

EVERYONE = ""
"""The segment of all customers, and the feature of a window of which nothing could be judged."""

_DESCRIBED = {
    "of": "whose rows were compared: snapshot, or served for the requests that were answered in the period",
    "segment": "segment of the customers, such as plan=pro; empty for all",
    "release": "sha256 of the release that was compared",
    "baseline": "sha256 of the release whose reference was the baseline",
    "window_rows": "rows of the window",
    "state": "fine, attention, or unknown where nothing could be judged",
    "verdict": "verdict in words",
    "since": "first window of the unbroken stretch that moved; empty where this one did not",
    "unusual": "share of the earlier windows that moved less; empty while there are none",
    "mean_score": "mean probability of churn",
    "positive_rate": "share called churners",
    "feature": "feature; empty in the one row of a window of which nothing could be judged",
    "rows": "rows of the window that were compared",
    "ks": "Kolmogorov-Smirnov statistic, of numbers",
    "welch_t": "Welch's t, of numbers",
    "psi": "population stability index, less its bias under no drift",
    "wasserstein": "Wasserstein distance in standard deviations of the baseline, of numbers",
    "chi_square": "chi-square statistic, of words",
    "jensen_shannon": "Jensen-Shannon distance, from 0 to 1",
    "p_value": "p value; of what is judged, corrected for the number of judged features",
    "cut": "PSI up to which a move does not matter",
    "mean": "mean of the window, of numbers",
    "baseline_mean": "mean of the baseline, of numbers",
    "mean_shift": "change of the mean as a share of the baseline's",
    "missing": "share of rows without a value",
    "importance": "share of the model's importance, where it is known",
    "judged": "whether the feature is judged, and not only shown",
    "drifted": "whether it is judged and has moved materially",
}


def history_contract() -> pa.DataFrameSchema:
    """The contract of ``drift_history``: one row per window, segment and feature."""
    nullable = {"since", "unusual", "mean_score", "positive_rate", *MOVE_COLUMNS} - {"feature"}
    share = [pa.Check.in_range(0.0, 1.0)]
    digest = [pa.Check.str_length(SHA256_LENGTH, SHA256_LENGTH)]
    return contract(
        {**WINDOW_COLUMNS, **MOVE_COLUMNS},
        key=KEY,
        checks={
            "of": [pa.Check.isin(["snapshot", "served"])],
            "state": [pa.Check.isin(["fine", "attention", "unknown"])],
            "release": digest,
            "baseline": digest,
            "window_rows": [pa.Check.ge(0)],
            **dict.fromkeys(("unusual", "mean_score", "positive_rate", "p_value", "missing"), share),
        },
        nullable=sorted(nullable),
        described=_DESCRIBED,
    )
