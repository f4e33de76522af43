"""Fit every family on the small world and print the digests: run by ``test_determinism`` in processes of their own."""

import hashlib
import json
import sys

from churn_assets.settings.company import Settings
from churn_assets.settings.training import Training
from churn_assets.training.families import FAMILIES
from churn_assets.training.tuning import search_and_fit
from churn_store.releases.manifest import TableVersion
from tests.champion.world import attributes, training_set

if __name__ == "__main__":
    settings = Settings(company="test", training=Training(trials=2)).fitting
    found = {}
    for name in sorted(FAMILIES):
        fitted = search_and_fit(name, training_set(), attributes(), settings, data=TableVersion(0))
        found[name] = [hashlib.sha256(fitted.model).hexdigest(), fitted.threshold, dict(fitted.parameters), fitted.measures]
    json.dump(found, sys.stdout, sort_keys=True)
