"""`churn train`: fit one family through the graph, with parameters of one's own."""

import sys
from pathlib import Path

import click


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
    from churn_assets.cli.train import TrainingRequest, run_train  # noqa: PLC0415

    sys.exit(run_train(Path.cwd(), TrainingRequest(family, values, trials, seed), judge=judge))
