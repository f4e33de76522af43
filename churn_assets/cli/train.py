"""`churn train`: one family's asset is materialized as the Dagster UI would do it, and what it is worth is printed.

Belongs here: from words on a command line to a run of the graph, and from its metadata to lines for a person. Does not belong here:
fitting (``training``) and judging (``champion.gate``): a model is released by the gate alone.
"""

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import dagster as dg

from churn_assets.automation.runner import QUIET, why
from churn_assets.build import build_defs
from churn_assets.champion.candidate import require_configured
from churn_assets.cli.without_time import trained_on
from churn_assets.connectors.open_source import open_source
from churn_assets.features.feature_sets import company_features, features_in_use
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.in_process import execute
from churn_assets.orchestration.instance import instance_in_words, instance_of, require_no_run
from churn_assets.orchestration.ownership import claim
from churn_assets.orchestration.run_history import REASON, newest_materialization
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.training.families import FAMILIES
from churn_store.errors import InputError
from churn_store.releases.installation import migrate_installation

JUDGED = ("candidate_model", "model_blessing", "champion", "waiting_candidates")
MEASURES = {
    "auc": "AUC",
    "average_precision": "avg prec",
    "log_loss": "log loss",
    "brier": "Brier",
    "calibration_slope": "slope",
    "lift_top_decile": "lift",
    "profit": "profit",
}
"""What is printed of a family, with its heading."""

EXIT_WRONG_INPUT = 2


@dataclass(frozen=True)
class TrainingRequest:
    """What somebody has asked for.

    Attributes:
        family: name of the family to fit.
        values: values of its parameters, as ``name=value``.
        trials: trials of the search; None for that of the settings.
        seed: None for that of the settings.
    """

    family: str
    values: tuple[str, ...] = ()
    trials: int | None = None
    seed: int | None = None

    def config(self) -> dict[str, Any]:
        """The configuration of the family's asset.

        Raises:
            InputError: a value that is not ``name=value`` with a number, a parameter that the family does not have, or one given twice.
        """
        named = list(map(_named, self.values))
        asked = [name for name, _ in named]
        if twice := sorted({name for name in asked if asked.count(name) > 1}):
            raise InputError(f"--set gives {', '.join(twice)} more than once; expected each parameter once")
        given = FAMILIES[self.family].with_parameters(dict(named), where="--set")
        optional = {"trials": self.trials, "seed": self.seed}
        return {"parameters": given, **{name: value for name, value in optional.items() if value is not None}}


@click.command()
@click.option("--family", required=True, help="One of `training.families`.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Fix a parameter; may be given more than once.")
@click.option("--trials", type=int, help="Of the search for the other parameters; default: training.trials.")
@click.option("--seed", type=int, help="Of the estimator and the search; default: training.seed.")
@click.option(
    "--judge", is_flag=True, help="Then let the gate judge the best of all families, and release it if it is accepted."
)
def train(family: str, values: tuple[str, ...], trials: int | None, seed: int | None, *, judge: bool) -> None:
    """Fit a family on the training set that is there, and print its measures beside those of the other families."""
    sys.exit(run_train(Path.cwd(), TrainingRequest(family, values, trials, seed), judge=judge))


def run_train(folder: Path, asked: TrainingRequest, *, judge: bool) -> int:
    """Fit a family and print its measures; the exit status.

    Args:
        folder: where churn.yaml and dagster.yaml lie.
        asked: the family and what is asked of it.
        judge: whether the gate judges afterwards.

    Raises:
        InputError: what is asked for makes no sense, or there is no training set.
    """
    settings = Settings.load()
    families = settings.training.families
    if asked.family not in families:
        raise InputError(
            f"--family {asked.family}: the families of this company are {', '.join(families)}; choose one of them, or add it to "
            "training.families in churn.yaml"
        )
    config = asked.config()
    if not Lake(settings.lake_url).has("training_set"):
        raise InputError("there is no training_set yet; run `churn demo`, or the job retrain, first")
    migrate_installation(settings.database_url, settings.releases_url)
    log = settings.home / "train.log"
    assets = [asked.family, *(JUDGED if judge else ())]
    with open(log, "w", encoding="utf-8") as details, instance_of(folder) as instance:
        claim(instance, settings.company, settings.lake_url)
        require_no_run(instance, "training_set")
        click.echo(f"company {settings.company}; runs are kept in {instance_in_words(folder)}")
        if judge:
            _require_judgeable(instance, settings, besides=asked.family)
        with contextlib.redirect_stderr(details):
            job = build_defs(settings).resolve_implicit_global_asset_job_def()
            result = execute(
                job,
                instance,
                tags={REASON: f"churn train --family {asked.family}"},
                run_config={**QUIET, "ops": {asked.family: {"config": config}}},
                assets=assets,
            )
        if not result.success:
            error, wrong_input = why(result)
            click.echo(f"churn train: {error}; see {os.path.relpath(log)} and the run in the Dagster UI", err=True)
            return EXIT_WRONG_INPUT if wrong_input else 1
        rows = () if settings.has_time else trained_on(Lake(settings.lake_url), settings.training)
        about = [f"{name[0].upper()}{name[1:]}: {value}." for name, value in rows]
        for line in [*table(instance, families, asked.family), *about, *(verdict(instance) if judge else ())]:
            click.echo(line)
    return 0


def table(instance: dg.DagsterInstance, families: Sequence[str], fitted: str) -> list[str]:
    """The newest measures of each family, one line each; that which was fitted now is marked, with its parameters below."""
    width = max(map(len, families)) + 2
    lines = ["", f"  {'':<{width}}" + "".join(f"{heading:>10}" for heading in MEASURES.values()) + f"{'training set':>15}"]
    for name in families:
        newest = newest_materialization(instance, name)
        if newest is None:
            lines.append(f"  {name:<{width}}not fitted yet")
            continue
        known = newest.metadata
        numbers = "".join(f"{known[measure]:>10.4f}" if measure in known else f"{'?':>10}" for measure in MEASURES)
        made_of = f"version {known.get('training_set_version', '?')}"
        lines.append(f"{'*' if name == fitted else ' '} {name:<{width}}{numbers}{made_of:>15}")
    now = newest_materialization(instance, fitted)
    known = {} if now is None else now.metadata
    said = f"; of {known['trials']} trials" if known.get("trials") else ""
    if "peak_memory_mib" in known:
        said += f"; {known['dagster/row_count']:,} rows, peak memory {known['peak_memory_mib']:,.0f} MiB"
    return [
        *lines,
        "",
        f"Measured on {known.get('measured_on')}.",
        f"* {fitted}: {', '.join(f'{name} {value:g}' for name, value in known.get('parameters', {}).items())}{said}",
    ]


def verdict(instance: dg.DagsterInstance) -> list[str]:
    """What the gate said of the best family, and whether it serves now."""
    blessing, champion = (newest_materialization(instance, name) for name in ("model_blessing", "champion"))
    candidate = newest_materialization(instance, "candidate_model")
    if blessing is None or champion is None or candidate is None:
        raise AssertionError("the run succeeded, so all three were materialized")
    return [
        f"The gate: {candidate.metadata['family']} is {blessing.metadata['verdict']}; "
        + ("it serves now" if champion.metadata["published"] else f"not released: {champion.metadata['why']}")
    ]


def _named(text: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    try:
        number = json.loads(value)
    except ValueError:
        number = None
    if not separator or not name.strip() or isinstance(number, bool) or not isinstance(number, int | float):
        raise InputError(f"--set {text}: expected NAME=VALUE with a number, like --set learning_rate=0.05")
    return name.strip(), number


def _require_judgeable(instance: dg.DagsterInstance, settings: Settings, *, besides: str) -> None:
    """The gate judges the best of all families, so that all must be there, fitted under the settings that there are now.

    TrainingRequest before the fit; ``candidate_model`` asks again, also of a family that does not say what it was fitted with.
    """
    newest = {name: newest_materialization(instance, name) for name in settings.training.families if name != besides}
    if absent := [name for name, found in newest.items() if found is None]:
        raise InputError(
            f"{', '.join(absent)} was never fitted, and the best of all families is judged; run the job retrain"
        )
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    features = features_in_use(
        company_features(
            open_source(settings), settings.source, settings.features, settings.events.types, served=serving.inputs
        ),
        settings.features,
    )
    known = {name: found.metadata.get("configured") for name, found in newest.items() if found is not None}
    require_configured({name: said for name, said in known.items() if said is not None}, features, settings.fitting)
