"""Which attributes can be features, which are protected, and which may be people's ages as their values are distributed.

Belongs here: what `churn validate` says of attributes. Does not belong here: the words and the rule for values
(``features.protected_attributes``), and who may train on what (``training.protection``).
"""

from collections.abc import Collection, Sequence
from typing import Protocol

import polars as pl

from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import columns_of, company_features, features_in_use, protected_among
from churn_assets.features.protected_attributes import forbidden, looks_like_age
from churn_assets.preflight.report import Report
from churn_assets.settings.features import Features
from churn_assets.settings.source import SourceSettings
from churn_assets.tables import Source
from churn_assets.training.protection import require_allowed
from churn_store.errors import InputError, StoreAwayError
from churn_store.releases.manifest import Manifest


class KnowsRelease(Protocol):
    """Knows the release that serves; ``ServingStore`` is one."""

    def inputs(self) -> Collection[str] | None:
        """The inputs of the release; `None` where that can't be said now."""
        ...

    def newest_manifest(self) -> Manifest | None:
        """What it says of itself; `None` before the first."""
        ...


def features_that_can_be(
    report: Report,
    described: SourceSettings,
    choice: Features,
    types: Sequence[str],
    source: Source,
    serving: KnowsRelease | None,
) -> tuple[Feature, ...]:
    """The features that models would see, without those that are refused; each refusal becomes a finding.

    Args:
        report: findings so far.
        described: description of the tables.
        choice: which features models see.
        types: types of events with features of their own.
        source: source of the rows.
        serving: the release that serves; `None` for none.
    """

    def served() -> Collection[str] | None:
        return () if serving is None else serving.inputs()

    try:
        features = features_in_use(company_features(source, described, choice, types, served=served), choice)
    except InputError as error:
        report.findings += str(error).split("\n")
        columns = columns_of(described)
        refused = [
            attribute.name
            for attribute in source.attributes
            if attribute.name not in choice.exclude
            and forbidden(
                attribute.name,
                columns.get(attribute.name, attribute.name),
                choice.protected,
                allowed=choice.allow_protected,
            )
        ]
        if not refused:
            return ()
        choice = choice.model_copy(update={"exclude": (*choice.exclude, *refused)})
        try:
            return features_in_use(company_features(source, described, choice, types), choice)
        except InputError as other:
            report.findings += str(other).split("\n")
            return ()
    protected = protected_among(features, described, choice)
    if serving is not None and not all(protected.values()):
        try:
            report.questions += [warning] if (warning := require_allowed(protected, serving)) else []
        except (InputError, StoreAwayError) as error:
            report.findings.append(str(error))
    return features


def ages(customers: pl.DataFrame, features: tuple[Feature, ...], described: SourceSettings, choice: Features) -> list[str]:
    """Questions about attributes whose values are distributed like people's ages.

    Args:
        customers: rows that keep their contract.
        features: features that models would see.
        described: description of the tables.
        choice: which features models see.
    """
    asked = protected_among(features, described, choice)
    return [
        f"{feature.name}: by its values it may be people's age or year of birth ({values.drop_nulls().n_unique()} different whole "
        f"numbers). If it is, name it in features.exclude; if it is not, or a model may see it, say so: "
        f'`features: {{allow_protected: {{{feature.name}: "why, by whom"}}}}`'
        for feature in features
        if feature.name in customers.columns and feature.name not in asked
        for values in [customers[feature.name]]
        if looks_like_age(values)
    ]
