"""From tables to a whole churn.yaml.

Belongs here: the order of the steps. Does not belong here: any of their decisions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from churn_assets.connectors.open_source import open_source
from churn_assets.features.feature_sets import company_features, features_in_use
from churn_assets.features.snapshot import features_of_table
from churn_assets.inspection.activity import map_events, map_payments
from churn_assets.inspection.columns import TableProfile, profile
from churn_assets.inspection.customers import map_customers, map_labelled
from churn_assets.inspection.draft import Draft, TableDraft
from churn_assets.inspection.folder import configured
from churn_assets.inspection.history import settle
from churn_assets.inspection.rendering import rendered
from churn_assets.inspection.roles import Roles, assign
from churn_assets.inspection.table import InspectedTable
from churn_assets.settings.company import Settings
from churn_assets.tables import EVER_S, LABEL
from churn_assets.training.leakage import leaking, single_feature_aucs
from churn_assets.training.training_set import joined
from churn_store.errors import InputError
from churn_store.mapping.tables import Table

FULL_SHARE = 0.995
LATER = "2000-01-01"
"""A first day that stands in until the rows are read."""


def drafted(tables: Sequence[InspectedTable], *, company: str, source: dict[str, Any], into: Path, looked_at: str) -> Draft:
    """The churn.yaml of some tables.

    Args:
        tables: everything that was found.
        company: name of the company.
        source: settings of the source besides its tables: its kind, and perhaps an address.
        into: folder of churn.yaml.
        looked_at: what was looked at, for people.

    Raises:
        InputError: if the tables are not those of a company, or can't be told apart.
    """
    roles = assign([profile(table) for table in tables])
    draft = Draft(company, source={**source, "shape": "history" if roles.has_time else "table"}, unused=dict(roles.unused))
    if roles.has_time:
        draft.source["start"] = LATER
        draft.sections["label"] = {"kind": "inactivity"}  # the rows are read first, and settle it
    for role in ("customers", "events", "payments"):
        if role in roles.tables:
            _map(draft, role, roles)
    _settle(draft, into, looked_at)
    return draft


def _map(draft: Draft, role: Table, roles: Roles) -> None:
    found = roles.tables[role]
    table = TableDraft(described=_written(draft, role, found), left_out=dict(found.table.left_out))
    draft.tables[role] = table
    if several := found.table.several_names:
        draft.ask(
            f"{found.table.name}: {', '.join(several[:3])} have the same columns and are read as one table; what their names say, such as who left, is "
            "in no column",
            f'source.{role}.path: "{Path(found.table.name).parent.as_posix()}/{several[0]}"',
        )
    owner = roles.ids.get(role)
    if role == "customers" and not roles.has_time:
        map_labelled(draft, found, table, owner)
        return
    if owner is None:
        raise AssertionError("each table of a history has ids")
    if role == "customers":
        if not map_customers(draft, found, table, owner):
            del draft.tables["customers"]
            return
    elif role == "events":
        map_events(draft, found, table, owner)
        if found is roles.tables.get("customers") and "customers" in draft.tables:
            table.left_out = {}  # what no event has, the customers have: it is one table
    else:
        map_payments(draft, found, table, owner)
    if any(joined.strip for joined in roles.joins.values()):
        table.described["ids"] = {"strip": "0"}
        table.why["ids"] = "with their leading zeros, the ids of the tables are not the same"
    if (match := roles.joins.get(role)) is not None:
        other = "customers" if "customers" in roles.tables else "payments"
        table.why["customer_id"] = f"{match.share:.1%} of the rows have a customer in `{other}`"
        if match.share < FULL_SHARE and "customers" in roles.tables:
            draft.ask(
                f"{found.table.name}: {1 - match.share:.1%} of the rows are of customers who are not in {roles.tables['customers'].table.name}; nothing is "
                "computed for them",
                f"source.{role}.columns.customer_id: {match.column}",
            )


def _written(draft: Draft, role: Table, found: TableProfile) -> dict[str, Any]:
    """Where a table lies, and how its numbers and missing values are written."""
    described = dict(found.table.described)
    if found.decimal != ".":
        described["decimal"] = found.decimal
    if found.thousands is not None:
        described["thousands"] = found.thousands
    if len(found.missing) > 2:  # noqa: PLR2004 - the two that are always missing
        described["missing"] = list(found.missing)
    if found.is_ambiguous:
        draft.ask(
            f"{found.table.name}: each mark in a number stands before three digits; taken for marks between thousands",
            f'source.{role}.decimal: "{found.thousands or "."}"',
        )
    return described


def _settle(draft: Draft, into: Path, looked_at: str) -> None:
    """Read the tables by the draft, as ingest would, and settle what their rows say."""
    with configured(into, rendered(draft, looked_at=looked_at)):
        settings = Settings.load()
        source = open_source(settings)
        if settings.has_time:
            frames = {table: source.read(table, -EVER_S, EVER_S).rows for table in settings.tables}
            settle(draft, frames, now_s=settings.clock.now_s())
            return
        rows = source.read("customers", 0, 0).rows.drop_nulls(LABEL)
        if rows[LABEL].n_unique() < 2:  # noqa: PLR2004 - `churn validate` says so
            return
        features = features_in_use(
            company_features(source, settings.source, settings.features, settings.events.types), settings.features
        )
        found = leaking(
            single_feature_aucs(joined(features_of_table(rows, features), rows.select("customer_id", LABEL)), features),
            settings.training.single_feature_auc,
        )
    table = draft.tables["customers"]
    for name, auc in found.items():
        column = table.attributes.pop(name)["column"]
        table.left_out[column] = (
            f"it tells the label by itself (AUC {auc.value:.3f}), and was most likely written down after it"
        )
    if not table.attributes:
        raise InputError("no column is left that a model could learn from: each is the label, an id, a text or protected")
