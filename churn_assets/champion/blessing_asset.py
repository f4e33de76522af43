"""The asset ``model_blessing``: reads the evidence of the gate, and records its verdict.

Does not belong here: the rules and the verdict (``gate``).
"""

from collections.abc import Iterator, Sequence

import dagster as dg
import polars as pl

from churn_assets.champion.candidate import require_configured
from churn_assets.champion.candidate_model import CandidateModel
from churn_assets.champion.checks import checks_of, kept_results, rule_results, rule_specs
from churn_assets.champion.gate.evidence import Evidence
from churn_assets.champion.gate.verdict import judge
from churn_assets.champion.lineage import evaluation_of, judged_from_s, trained_until_s, training_set_of
from churn_assets.champion.multiple_comparisons import nth_model
from churn_assets.champion.oracle import reachable_probabilities
from churn_assets.champion.same_model import champion_of_same_model, refuse_what_serves, same_in_words
from churn_assets.champion.untuned import untuned_scores
from churn_assets.evaluation.baselines import baselines
from churn_assets.evaluation.last_activity import with_last_activity
from churn_assets.features.feature import Feature
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.periods import Calendar
from churn_assets.reporting.basis import basis_of
from churn_assets.reporting.rounding import rounded
from churn_assets.resources.serving import ServingStore
from churn_assets.scoring.in_sample import in_sample
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.judging import JudgingSettings
from churn_assets.tables import JUDGE, Source
from churn_assets.training.fitted_family import GOLDEN, MODEL, PROBABILITIES, read_file
from churn_assets.training.held_out import decode
from churn_assets.training.treated import as_weighed, why_unknown
from churn_store.clock import Clock
from churn_store.errors import ReleaseError
from churn_store.mapping.tables import Table
from churn_store.model.scorer import Scorer
from churn_store.releases.blessings import record_blessing
from churn_store.releases.bundles import load_bundle, load_file
from churn_store.releases.log import Serving
from churn_store.releases.manifest import Blessing, Manifest


def blessing_asset(
    source: Source,
    features: tuple[Feature, ...],
    checks: Sequence[dg.AssetCheckSpec],
    *,
    tables: Sequence[Table],
    timeline: Calendar | None,
    fitting: FittingSettings,
    gate: JudgingSettings,
) -> dg.AssetsDefinition:
    """The asset ``model_blessing``.

    Args:
        source: source of the raw tables.
        features: features that models may use.
        checks: blocking checks of the tables that a candidate is made from.
        tables: raw tables of the source.
        timeline: calendar of a history; `None` if the data has no time.
        fitting: present settings that a fit depends on; a candidate fitted with others is refused.
        gate: settings of the gate.
    """

    @dg.asset(
        description="The gate's verdict on the candidate. Every rule is a check; an error in any of them is a rejection.",
        group_name="champion",
        pool=BACKGROUND,
        kinds={"python"},
        owners=["team:data-science"],
        deps=["training_set"],
        check_specs=rule_specs(),
        code_version=code_version("champion"),
    )
    @wrong_input_is_final
    def model_blessing(
        context: dg.AssetExecutionContext,
        candidate_model: CandidateModel,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> Iterator[dg.MaterializeResult[Blessing] | dg.AssetCheckResult]:
        manifest = candidate_model.manifest(serving.files)
        refuse_what_serves(serving, manifest)
        if (same := champion_of_same_model(serving, manifest.model_sha256)) is not None:
            yield from _kept_verdict(*same, manifest)
            return

        def read() -> Evidence:
            newest = serving.newest()
            champion = None if newest is None else load_bundle(serving.files, newest.champion)
            stored = training_set_of(manifest, lake)
            rows = as_weighed(stored)
            judging = rows.filter(pl.col("role") == JUDGE)
            require_configured({manifest.family: candidate_model.configured}, features, fitting)
            return Evidence(
                trained=decode(
                    read_file(serving.files, PROBABILITIES, candidate_model.probabilities, asset=manifest.family)
                ),
                model=manifest.files[MODEL].sha256,
                scorer=Scorer(load_file(serving.files, manifest, MODEL), manifest.signature),
                threshold=manifest.threshold,
                golden=load_file(serving.files, manifest, GOLDEN),
                training_set=rows,
                checks=checks_of(
                    context.instance, checks, manifest, tables=tables, label=fitting.label, has_time=fitting.has_time
                ),
                evaluation=evaluation_of(manifest),
                baselines=baselines(
                    with_last_activity(lake, rows, tables=tables, calendar=timeline, rule=fitting.at_risk),
                    manifest.signature,
                ),
                untuned=untuned_scores(rows, features, fitting),
                reachable=reachable_probabilities(source, judging, label=fitting.label),
                judging_from=judged_from_s(manifest),
                candidate_trained_until=trained_until_s(manifest),
                epoch=0 if newest is None else newest.epoch,
                champion=champion,
                champion_trained_until=None if champion is None else trained_until_s(champion.manifest),
                nth=nth_model(serving, manifest, newest),
                unknown_labels=why_unknown(stored, manifest.treated),
                split=manifest.split,
                champion_split=None if champion is None else champion.manifest.split,
                known_to_champion=0
                if champion is None or fitting.has_time
                else int(in_sample(judging["customer_id"], champion.manifest, lake).sum()),
            )

        judgement = judge(
            read,
            candidate=manifest.candidate,
            settings=gate,
            actor=f"dagster run {context.run_id}",
            now_s=clock.now_s(),
        )
        blessing = judgement.blessing
        record_blessing(serving.engine, blessing)
        yield dg.MaterializeResult(
            value=blessing,
            metadata={
                "verdict": blessing.verdict,
                "verdict_in_words": blessing.in_words,
                "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in blessing.reasons)),
                "family": manifest.family,
                **(
                    {}
                    if blessing.gain is None
                    else {"gain": rounded(blessing.gain), "gain_evidence": basis_of("gain").value}
                ),
                "candidate": manifest.candidate,
                "dagster/row_count": manifest.judging_rows,
            },
        )
        yield from rule_results(judgement)

    return model_blessing


def _kept_verdict(
    row: Serving, champion: Manifest, candidate: Manifest
) -> Iterator[dg.MaterializeResult[Blessing] | dg.AssetCheckResult]:
    """The champion's verdict, as the candidate is the same model: nothing is judged and no new verdict is recorded."""
    blessing = champion.blessing
    if blessing is None:
        raise ReleaseError(f"release {row.champion[:12]} serves without a verdict of the gate; publish a release anew")
    why = same_in_words(row, champion, candidate)
    yield dg.MaterializeResult(
        value=blessing,
        metadata={
            "verdict": blessing.verdict,
            "candidate": blessing.candidate,
            "same_model": candidate.candidate,
            "why": why,
        },
    )
    yield from kept_results(blessing, why)
