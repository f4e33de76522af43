"""What Dagster loads: the asset graph of the company whose churn.yaml is in the current folder."""

from churn_assets.build import build_defs

defs = build_defs()
