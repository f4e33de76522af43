"""`churn features`: what the features of the model that serves are worth."""

import time
from collections.abc import Sequence

import click
import msgspec

from churn_assets.champion.lineage import training_set_of
from churn_assets.connectors.open_source import open_source
from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import company_features
from churn_assets.lake.lake import Lake
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.training.families import Value
from churn_assets.training.feature_audit import Ablation, FeatureAudit
from churn_store.errors import InputError
from churn_store.releases.manifest import Manifest

CONFIDENCE = 0.95
VERDICTS = {"earns": "earns its place", "not shown": "not shown", "costs": "costs"}
NAMED_IN_GROUP = 3


@click.group()
def features() -> None:
    """What the features of the model that serves are worth."""


@features.command()
@click.option(
    "--drop",
    "drops",
    multiple=True,
    metavar="NAME[,NAME...]",
    help="Leave these features out together; may be given more than once. Default: each feature alone, and each group of correlated ones.",
)
@click.option("--seed", type=int, help="Of every fit; default: training.seed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def audit(drops: tuple[str, ...], seed: int | None, as_json: bool) -> None:
    """Fit the model that serves again without a feature, and say what it loses.

    The same training set, parameters and seed; profit and log loss on later snapshots that do not judge, with paired intervals clustered by
    customer.
    """
    begun = time.monotonic()
    settings = Settings.load()
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    bundle = store.champion()
    if bundle is None:
        raise InputError("no release serves, so there is no model to audit; run `churn demo`, or the job retrain, first")
    manifest = bundle.manifest
    audited = FeatureAudit(
        training_set_of(manifest, Lake(settings.lake_url)),
        features_of_release(
            manifest,
            company_features(
                open_source(settings), settings.source, settings.features, settings.events.types, served=store.inputs
            ),
        ),
        family=manifest.family,
        parameters=parameters_of(manifest),
        settings=settings.fitting,
        seed=settings.training.seed if seed is None else seed,
        confidence=CONFIDENCE,
    )
    sets = [tuple(drop.split(",")) for drop in drops] or audited.default_sets()
    full = audited.full_model()
    ablations = []
    for number, left_out in enumerate(audited.ablations(sets, full), start=1):
        ablations.append(left_out)
        click.echo(f"\r[{number}/{len(sets)}] {time.monotonic() - begun:.0f} s", nl=False, err=True)
    click.echo("", err=True)
    ranked = sorted(ablations, key=lambda left_out: (left_out.profit.value, left_out.log_loss.value), reverse=True)
    seconds = time.monotonic() - begun
    if as_json:
        click.echo(
            msgspec.json.encode(
                {
                    "release": bundle.digest,
                    "family": manifest.family,
                    "rows": len(full.scores),
                    "confidence": CONFIDENCE,
                    "seconds": round(seconds, 1),
                    "left_out": [_as_object(left_out) for left_out in ranked],
                }
            )
        )
        return
    click.echo(
        f"feature audit of {manifest.family}, release {bundle.digest[:12]}, {len(full.scores):,} later rows that do not judge"
    )
    click.echo("\n".join([*in_words(ranked), f"{len(ranked) + 1} fits in {seconds:.0f} s"]))


def features_of_release(manifest: Manifest, of_company: Sequence[Feature]) -> tuple[Feature, ...]:
    """The features that are inputs of a release.

    Raises:
        InputError: one of them does not exist any more.
    """
    by_name = {feature.name: feature for feature in of_company}
    if gone := [name for name in manifest.signature.names if name not in by_name]:
        raise InputError(
            f"the release that serves needs {', '.join(gone)}, which is no feature of this company any more, so it can't be fitted again; "
            "run the job retrain first"
        )
    return tuple(by_name[name] for name in manifest.signature.names)


def parameters_of(manifest: Manifest) -> dict[str, Value]:
    """The parameters of a release's estimator.

    Raises:
        InputError: it was made before manifests said so.
    """
    if not isinstance(manifest.parameters, dict):
        raise InputError(
            "the release that serves does not name its parameters, so it can't be fitted again; run the job retrain first"
        )
    return {name: value for name, value in manifest.parameters.items() if isinstance(value, int | float)}


def in_words(ranked: Sequence[Ablation]) -> list[str]:
    """The audit as lines for a person.

    Args:
        ranked: what was left out, the most profitable first.
    """
    width = max(len(_named(left_out)) for left_out in ranked) + 2
    lines = [f"  {'left out':<{width}}{'brings, profit per customer':<34}{'saves, log loss':<36}{'AUC':>8}  verdict"]
    for left_out in ranked:
        profit, loss = left_out.profit, left_out.log_loss
        brings = f"{profit.value:+.4f} ({profit.low:+.4f} to {profit.high:+.4f})"
        saves = f"{loss.value:+.5f} ({loss.low:+.5f} to {loss.high:+.5f})"
        lines.append(
            f"  {_named(left_out):<{width}}{brings:<34}{saves:<36}{left_out.auc:>+8.4f}  {VERDICTS[left_out.verdict]}"
        )
    idle = [left_out.features[0] for left_out in ranked if left_out.verdict != "earns" and len(left_out.features) == 1]
    return [
        *lines,
        f"Not shown to earn their place alone ({CONFIDENCE:.0%} intervals): {', '.join(idle) or 'none'}.",
        f"Up to one in {1 / (1 - CONFIDENCE):.0f} that bring nothing seems to earn its place by chance. Before leaving several features out, "
        "audit them together: --drop A,B.",
    ]


def _named(left_out: Ablation) -> str:
    more = len(left_out.features) - NAMED_IN_GROUP
    return " + ".join(left_out.features[:NAMED_IN_GROUP]) + (f" and {more} more" if more > 0 else "")


def _as_object(left_out: Ablation) -> dict[str, object]:
    return {
        "features": left_out.features,
        "profit": left_out.profit,
        "log_loss": left_out.log_loss,
        "auc": left_out.auc,
        "verdict": left_out.verdict,
    }
