"""Look at earlier versions of the lake's tables, bring them back, verify them, make training sets again, migrate an older lake."""

from churn_store.cli.lazy_group import LazyGroup

COMMANDS = {
    "adopt": "churn_assets.cli.data.adopt:adopt",
    "diff": "churn_assets.cli.data.diff:diff",
    "log": "churn_assets.cli.data.log:log",
    "migrate": "churn_assets.cli.data.migrate:migrate",
    "restore": "churn_assets.cli.data.restore:restore",
    "training-set": "churn_assets.cli.data.training_set:training_set",
    "verify": "churn_assets.cli.data.verify:verify",
}

data = LazyGroup(name="data", places=lambda: COMMANDS, help=__doc__)
