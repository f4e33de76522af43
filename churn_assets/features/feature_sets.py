"""Which features a company has, and which of them its models see.

Belongs here: the choice by the company's tables, its attributes, and the sections ``features`` and ``events`` of ``churn.yaml``. Does not belong
here: what a feature is (``feature``), which ones there are (``catalogue``), and what can't be one (``protected_attributes``).
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import narwhals as nw

from churn_assets.features.catalogue import CATALOGUE, CLASSIC
from churn_assets.features.catalogue_types import EventValue, type_features
from churn_assets.features.feature import Feature
from churn_assets.features.protected_attributes import forbidden, is_protected
from churn_assets.settings.features import Features
from churn_assets.settings.source import SourceSettings
from churn_assets.tables import Source
from churn_store.errors import InputError
from churn_store.mapping.tables import Table
from churn_store.model.signature import Column


def company_features(
    source: Source,
    described: SourceSettings,
    choice: Features,
    types: Sequence[str],
    *,
    served: Callable[[], Collection[str] | None] = lambda: (),
) -> tuple[Feature, ...]:
    """All features of a company; each is a column of ``customer_features``.

    Args:
        source: source of the rows.
        described: the section ``source``.
        choice: the section ``features``.
        types: types of events with features of their own: ``events.types``.
        served: gives the inputs of the release that serves, which stay features until ``training.protection`` refuses to train on
            them again; `None` where nobody can say now. Asked only where a feature is protected.

    Raises:
        InputError: if ``features_of`` refuses the choice, or an attribute is read from the label's column.
    """
    customers = described.described("customers")
    columns = columns_of(described)
    if customers is not None and customers.label is not None:
        tells = sorted(
            name for name, column in columns.items() if column == customers.label.column and name not in choice.exclude
        )
        if tells:
            raise InputError(
                f"source.customers.attributes has {', '.join(tells)}, read from {customers.label.column}, which is the label "
                "itself; take it out"
            )
    return features_of(
        described.tables,
        source.attributes,
        has_time=described.shape == "history",
        given={table: source.given(table) for table in described.tables},
        choice=choice,
        columns=columns,
        types=types,
        value=value_of(described),
        served=served,
    )


def columns_of(described: SourceSettings) -> dict[str, str]:
    """The columns of the customers' attributes in the source, by attribute."""
    customers = described.described("customers")
    return {} if customers is None else {name: attribute.column for name, attribute in customers.attributes.items()}


def value_of(described: SourceSettings) -> EventValue | None:
    """What the values of a company's events are; `None` where they have none."""
    events = described.described("events")
    if events is None or events.value_unit is None:
        return None
    return EventValue(events.value_unit, events.value_decimals)


def protected_among(features: Sequence[Feature], described: SourceSettings, choice: Features) -> dict[str, str]:
    """Why each protected feature may be used, by its name; empty where nobody has said so.

    Args:
        features: features of the company.
        described: the section ``source``.
        choice: the section ``features``.
    """
    columns = columns_of(described)
    return {
        feature.name: choice.allow_protected.get(feature.name, "")
        for feature in features
        if feature.name in choice.allow_protected
        or is_protected(feature.name, columns.get(feature.name, feature.name), more=choice.protected)
    }


def features_of(
    tables: Collection[Table],
    attributes: Sequence[Column],
    *,
    has_time: bool,
    given: Mapping[Table, Collection[str]] | None = None,
    choice: Features | None = None,
    columns: Mapping[str, str] | None = None,
    types: Sequence[str] = (),
    value: EventValue | None = None,
    served: Callable[[], Collection[str] | None] = lambda: (),
) -> tuple[Feature, ...]:
    """The features that a company's tables allow, less those that it excludes.

    Args:
        tables: raw tables of the company.
        attributes: attributes of a customer in the source; each is a feature of its own.
        has_time: whether the data is a history.
        given: optional columns that the source has, by table.
        choice: excluded features, and protected words in addition to the built-in ones.
        columns: columns of the attributes in the source, by attribute.
        types: types of events with features of their own.
        value: what the values of events are; `None` where events have none.
        served: see ``company_features``.

    Returns:
        Features in a fixed order, numbers before categories. An attribute replaces a feature of the same name. A feature that reads
        a word of the record, such as the plan, exists only if that attribute is a category. A feature that counts changes of the
        record exists only if the record has some attribute.

    Raises:
        InputError: if ``exclude``, ``allow_protected`` or ``actionable`` has a name that is no feature here, if attributes are protected, tell the
            label or have the name of an aggregate, or if no feature is left.
    """
    choice = choice or Features()
    named = {attribute.name for attribute in attributes}
    spoken = {attribute.name for attribute in attributes if attribute.kind == "category"}
    has: dict[Table, Collection[str]] = {**(given or {}), "customers": spoken}
    catalogue = (*CATALOGUE, *type_features(types, value))
    candidates = [
        feature
        for feature in catalogue
        if has_time
        and feature.tables <= set(tables)
        and set(feature.needs) <= set(has.get(feature.table, ()))
        and (named or not feature.of("customers"))
        and feature.name not in named
    ]
    candidates += [_of_attribute(attribute) for attribute in attributes]
    names = {feature.name for feature in candidates}
    for setting, given_names in (
        ("exclude", choice.exclude),
        ("allow_protected", choice.allow_protected),
        ("actionable", choice.actionable),
    ):
        if unknown := sorted(set(given_names) - names):
            raise InputError(
                f"features.{setting} names {', '.join(unknown)}, which is no feature here; expected some of {', '.join(sorted(names))}"
            )
    if taken := sorted(named & {name for feature in catalogue for table in feature.tables for name in feature.of(table)}):
        raise InputError(
            f"source.customers.attributes has {', '.join(taken)}, a name that the catalogue of features uses; choose another"
        )
    left = [feature for feature in candidates if feature.name not in choice.exclude]
    if refused := forbidden_among(left, columns or {}, choice, served=served):
        raise InputError("\n".join(refused.values()))
    if not left:
        raise InputError(
            "no feature is left for a model; add `attributes` to source.customers, or take names out of features.exclude"
        )
    return tuple(sorted(left, key=lambda feature: feature.kind, reverse=True))


def forbidden_among(
    features: Sequence[Feature],
    columns: Mapping[str, str],
    choice: Features,
    *,
    served: Callable[[], Collection[str] | None] = lambda: (),
) -> dict[str, str]:
    """Why some features can't be any, by name: they are protected, or tell the label.

    Args:
        features: features that nobody has excluded.
        columns: columns of the attributes in the source, by attribute.
        choice: the section ``features``.
        served: see ``company_features``.
    """
    by_name = {feature.name: columns.get(feature.name, feature.name) for feature in features}
    allowed = set(choice.allow_protected)
    if any(is_protected(name, column, more=choice.protected) for name, column in by_name.items() if name not in allowed):
        serving = served()
        allowed |= by_name.keys() if serving is None else set(serving)
    of_types = {feature.name for feature in features if feature.event_type is not None}
    found = {
        name: forbidden(
            name,
            column,
            choice.protected,
            allowed=allowed,
            listed_in="events.types" if name in of_types else "the source's attributes",
        )
        for name, column in by_name.items()
    }
    return {name: sentence for name, sentence in found.items() if sentence}


def features_in_use(features: Sequence[Feature], choice: Features) -> tuple[Feature, ...]:
    """The features that models see: those of the set that ``features.use`` names.

    Args:
        features: all features of the company.
        choice: named sets, and the name of the one in use.

    Returns:
        Features in the order of ``features``.

    Raises:
        InputError: if a set lists a name that is no feature here or takes the name of a built-in set, or if the set in use does not
            exist or is empty.
    """
    names = {feature.name for feature in features}
    if clash := sorted(set(choice.sets) & {"all", "classic"}):
        raise InputError(f"features.sets has {', '.join(clash)}, the name of a built-in set; choose another name")
    for name, members in choice.sets.items():
        if unknown := sorted(set(members) - names - set(choice.exclude)):
            raise InputError(
                f"features.sets.{name} names {', '.join(unknown)}, which is no feature here; expected some of "
                f"{', '.join(sorted(names))}"
            )
    sets: dict[str, Collection[str]] = {**choice.sets, "classic": CLASSIC, "all": names}
    if choice.use not in sets:
        raise InputError(f"features.use is {choice.use!r}, which is no set; expected one of {', '.join(sorted(sets))}")
    used = tuple(feature for feature in features if feature.name in sets[choice.use])
    if not used:
        raise InputError(
            f"features.use is {choice.use!r}, a set without any feature of this company; name some in features.sets, or use `all`"
        )
    return used


def _of_attribute(attribute: Column) -> Feature:
    return Feature(
        attribute.name,
        attribute.description,
        "customers",
        None,
        attribute.unit,
        "attribute",
        nw.col(attribute.name),
        kind=attribute.kind,
        nullable=attribute.nullable,
        low=attribute.low,
        high=attribute.high,
    )
