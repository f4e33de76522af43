"""What Dagster loads: the asset graph of the company whose churn.yaml is in the current folder.

Each process of Dagster that runs assets loads this, so its files are kept private from here on.
"""

from churn_assets.build import build_defs
from churn_assets.settings.company import Settings
from churn_store.private_files import keep_private

settings = Settings.load()
keep_private(settings.home)
defs = build_defs(settings)
