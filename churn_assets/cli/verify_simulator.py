"""`churn simulate --verify`: what nobody can predict better than, and that no model does.

Belongs here: the ceiling (the forward filter's probability of leaving, judged by the same labels as a model), models of every family
on every built-in set of features, and the paired comparison. Does not belong here: the filter itself (``simulator.forward_filter``)
and features, labels and models, which are the platform's own.

A model that beats the ceiling knows something that the tables did not say at the snapshot: the future. The hidden state, shown beside
the ceiling, is what nobody reaches who sees only the tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import click
import narwhals as nw
import polars as pl
from sklearn.metrics import log_loss, roc_auc_score

from churn_assets.contracts import sift
from churn_assets.evaluation.intervals import auc_difference_interval
from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import features_in_use, features_of
from churn_assets.features.labels import churn_labels
from churn_assets.features.lookback import lookback_days
from churn_assets.features.snapshot import features_at
from churn_assets.periods import Calendar, epoch_s
from churn_assets.raw.contracts import raw_contract
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_assets.settings.features import Features
from churn_assets.settings.label import Label, matures_on
from churn_assets.settings.training import Training
from churn_assets.simulator.months import months_of
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_assets.training.families import inputs
from churn_assets.training.fitting import fit
from churn_assets.training.training_set import joined
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.mapping.tables import Table

TABLES: tuple[Table, ...] = ("customers", "events", "payments")
SETS = ("classic", "all")
SNAPSHOTS = 8
JUDGED = 3
"""So many of the snapshots, the newest, judge; the others train."""
RULE, LABEL = AtRisk(), Label()
CEILING, HIDDEN = "probability_by_filter", "probability_by_state"


@dataclass(frozen=True)
class AtSnapshot:
    """The ceiling at a snapshot: customers at risk with a label, the share of them that leaves, the AUC of filter and hidden state."""

    snapshot: date
    at_risk: int
    leaving: float
    ceiling: float
    hidden: float


@dataclass(frozen=True)
class Compared:
    """A model beside the ceiling, on the judging rows.

    Attributes:
        features: the name of the set.
        number: how many features that is.
        family: family of the model.
        auc: AUC of the model.
        low: lower bound of the ceiling's AUC minus the model's, 95 %, clustered by customer.
        high: upper bound of the interval.
    """

    features: str
    number: int
    family: str
    auc: float
    low: float
    high: float

    @property
    def beats_the_ceiling(self) -> bool:
        """Whether the model is better than the ceiling, beyond chance."""
        return self.high < 0


@dataclass(frozen=True)
class Verdict:
    """What was found: the ceiling at each snapshot, over the judging ones together, and every model beside it.

    Attributes:
        snapshots: the ceiling at each snapshot.
        ceiling: AUC of the filter, the best from the tables, on the judging rows.
        ceiling_log_loss: log loss of the filter on them.
        hidden: AUC of the hidden state on them.
        hidden_log_loss: log loss of the hidden state on them.
        models: the models.
    """

    snapshots: tuple[AtSnapshot, ...]
    ceiling: float
    ceiling_log_loss: float
    hidden: float
    hidden_log_loss: float
    models: tuple[Compared, ...]

    @property
    def is_kept(self) -> bool:
        """Whether no model beats the ceiling."""
        return not any(model.beats_the_ceiling for model in self.models)


def run_verify(settings: SyntheticSettings) -> int:
    """Print the verdict on a company; the exit status is 1 if a model beats the ceiling."""
    source = SyntheticSource(settings)
    verdict = judge(source, read_all(source, settings), settings)
    for line in in_words(verdict):
        click.echo(line)
    return 0 if verdict.is_kept else 1


def read_all(source: SyntheticSource, settings: SyntheticSettings) -> dict[Table, pl.DataFrame]:
    """All rows of the company's months that keep their contracts."""
    months = months_of(settings)
    end_s = epoch_s(Calendar("monthly", settings.start).next(months[-1]))
    return {
        table: sift(raw_contract(table, source.attributes), source.read(table, epoch_s(settings.start), end_s).rows).kept
        for table in TABLES
    }


def judge(source: SyntheticSource, tables: Mapping[Table, pl.DataFrame], settings: SyntheticSettings) -> Verdict:
    """Hold every family on every built-in set of features against the best prediction that the tables allow.

    Args:
        source: the simulator, which knows the law.
        tables: what the models are trained and judged on.
        settings: the company's settings.

    Raises:
        InputError: the company has too few months.
    """
    months = months_of(settings)
    end = Calendar("monthly", settings.start).next(months[-1])
    snapshots = [month for month in months[1:] if matures_on(month, LABEL) <= end][-SNAPSHOTS:]
    if len(snapshots) < SNAPSHOTS:
        raise InputError(
            f"a company of {settings.months} months has {len(snapshots)} snapshots whose labels are known, expected {SNAPSHOTS}; "
            f"ask for at least {settings.months + SNAPSHOTS - len(snapshots)} months"
        )
    features = features_of(TABLES, source.attributes, has_time=True, given={table: source.given(table) for table in TABLES})
    rows = [_labelled(source, tables, features, snapshot, known_until=end) for snapshot in snapshots]
    judged_from = snapshots[-JUDGED]
    training = pl.concat([frame for day, frame in zip(snapshots, rows, strict=True) if day + LABEL.horizon <= judged_from])
    judging = pl.concat(rows[-JUDGED:])
    churned = judging["churned"].to_numpy()
    return Verdict(
        tuple(
            AtSnapshot(
                day,
                frame.height,
                frame.select(pl.col("churned").mean()).item(),
                _auc(frame, CEILING),
                _auc(frame, HIDDEN),
            )
            for day, frame in zip(snapshots, rows, strict=True)
        ),
        _auc(judging, CEILING),
        float(log_loss(churned, judging[CEILING].to_numpy())),
        _auc(judging, HIDDEN),
        float(log_loss(churned, judging[HIDDEN].to_numpy())),
        tuple(
            _compared(name, family, features_in_use(features, Features(use=name)), training, judging)
            for name in SETS
            for family in Training().families
        ),
    )


def in_words(verdict: Verdict) -> list[str]:
    """The verdict as lines for a person."""
    lines = [f"{'snapshot':<12}{'at risk':>9}{'leaving':>9}{'ceiling':>9}{'hidden':>9}"]
    lines += [
        f"{at.snapshot!s:<12}{at.at_risk:>9,}{at.leaving:>9.1%}{at.ceiling:>9.3f}{at.hidden:>9.3f}"
        for at in verdict.snapshots
    ]
    lines += [
        "",
        f"The newest {JUDGED} together, P(leaves within {LABEL.horizon_days} days | ...), simulated:",
        f"  ceiling: by the rows known before the snapshot, the best that anyone can reach: AUC {verdict.ceiling:.3f}, "
        f"log loss {verdict.ceiling_log_loss:.4f}",
        f"  hidden: by the state, which no table shows and nobody reaches: AUC {verdict.hidden:.3f}, "
        f"log loss {verdict.hidden_log_loss:.4f}",
        "",
        f"{'features':<20}{'family':<24}{'AUC':>7}   ceiling minus model, 95 %",
    ]
    lines += [
        f"{f'{model.features} ({model.number})':<20}{model.family:<24}{model.auc:>7.3f}   {model.low:+.3f} to {model.high:+.3f}"
        + (" BEATS THE CEILING" if model.beats_the_ceiling else "")
        for model in verdict.models
    ]
    kept = "No model beats the ceiling." if verdict.is_kept else "A model beats the ceiling: something knows the future."
    return [*lines, "", kept]


def _labelled(
    source: SyntheticSource,
    tables: Mapping[Table, pl.DataFrame],
    features: Sequence[Feature],
    snapshot: date,
    *,
    known_until: date,
) -> pl.DataFrame:
    """Features, ``churned``, and ``CEILING`` and ``HIDDEN``, two probabilities of leaving, of everybody at risk at a snapshot."""
    snapshot_s = epoch_s(snapshot)
    before = {table: _reached(table, tables[table], features, snapshot_s) for table in TABLES}
    at_risk = features_at(before, features, snapshot_s, RULE, EventRoles())
    after = tables["events"].lazy().filter(pl.col("known_s") >= snapshot_s)
    labels = churn_labels(
        at_risk.select("customer_id"),
        nw.from_native(after),
        None,
        snapshot=snapshot,
        label=LABEL,
        rule=RULE,
        known_until=known_until,
    ).labels
    rows = joined(at_risk, labels)
    asked = rows["customer_id"].to_list(), snapshot_s, LABEL.horizon_days * DAY_S
    return rows.with_columns(
        pl.Series(CEILING, source.filtered_probability_of_leaving(*asked)),
        pl.Series(HIDDEN, source.probability_of_leaving(*asked)),
    )


def _reached(table: Table, rows: pl.DataFrame, features: Sequence[Feature], snapshot_s: int) -> pl.LazyFrame:
    """The rows that a snapshot looks back on; those that ended a customer whatever their age."""
    days = lookback_days(table, features, RULE)
    if days is None:
        return rows.lazy()
    wanted = pl.col("occurred_s") >= snapshot_s - days * DAY_S
    if table == "events":
        wanted |= pl.col("event_type").is_in(RULE.endings)
    return rows.lazy().filter(wanted)


def _compared(
    name: str, family: str, features: tuple[Feature, ...], training: pl.DataFrame, judging: pl.DataFrame
) -> Compared:
    pipeline, signature = fit(family, training, features, seed=0)
    scores: Scores = pipeline.predict_proba(inputs(judging, signature))[:, 1].astype("float64")
    churned: Labels = judging["churned"].to_numpy()
    low, high = auc_difference_interval(
        churned, judging[CEILING].to_numpy(), scores, judging["customer_id"].to_numpy(), seed=0
    )
    return Compared(name, len(features), family, float(roc_auc_score(churned, scores)), low, high)


def _auc(rows: pl.DataFrame, name: str) -> float:
    return float(roc_auc_score(rows["churned"].to_numpy(), rows[name].to_numpy()))
