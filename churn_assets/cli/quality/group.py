"""Look at what is broken in the data, and accept what is real."""

from churn_store.cli.lazy_group import LazyGroup

COMMANDS = {
    "accept": "churn_assets.cli.quality.accept:accept",
    "findings": "churn_assets.cli.quality.findings:findings",
}

quality = LazyGroup(name="quality", places=lambda: COMMANDS, help=__doc__)
