"""Tells which table is which: customers, events, payments.

Belongs here: scores by names and by the kinds of columns, and the choice among all tables. Does not belong here: which column is
which (``customers``, ``activity``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from churn_assets.inspection import names
from churn_assets.inspection.activity import amount_column, times_of_row, type_column
from churn_assets.inspection.columns import Column, TableProfile
from churn_assets.inspection.ids import Join, best_join, best_named, named
from churn_assets.inspection.label_guess import guess_label
from churn_store.errors import InputError
from churn_store.mapping.tables import Table
from churn_store.redaction import shown_names

LEAST = 2.0
"""A table with a lower score is none of a role."""

CLOSE = 1.0
CONSIDERED = 5
ROLES: tuple[Table, ...] = ("customers", "events", "payments")


@dataclass
class Roles:
    """Which table is which.

    Attributes:
        tables: tables by role.
        ids: column with the customers' ids by role; a role without one has none.
        joins: how the ids of events and payments join those of the customers.
        unused: reason by name of a table that is not used.
    """

    tables: dict[Table, TableProfile] = field(default_factory=dict)
    ids: dict[Table, str] = field(default_factory=dict)
    joins: dict[Table, Join] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)

    @property
    def has_time(self) -> bool:
        """Whether there is a history."""
        return "events" in self.tables or "payments" in self.tables


def assign(profiles: Sequence[TableProfile]) -> Roles:
    """Give each role its table.

    Raises:
        InputError: if there is no table of customers, events or payments, or two of customers.
    """
    scores = {role: {profile.table.name: _score(profile, role) for profile in profiles} for role in ROLES}
    by_name = {profile.table.name: profile for profile in profiles}
    considered = [
        [
            *sorted((name for name, score in scores[role].items() if score >= LEAST), key=lambda name: -scores[role][name])[
                :CONSIDERED
            ],
            None,
        ]
        for role in ROLES
    ]
    best: tuple[float, tuple[str | None, ...]] = (0.0, (None, None, None))
    for chosen in product(*considered):
        used = [name for name in chosen if name is not None]
        if len(used) == len(set(used)):
            total = sum(scores[role][name] for role, name in zip(ROLES, chosen, strict=True) if name is not None)
            best = max(best, (total, chosen), key=lambda candidate: candidate[0])
    roles = Roles({role: by_name[name] for role, name in zip(ROLES, best[1], strict=True) if name is not None})
    if not roles.tables:
        raise InputError(_no_table(profiles))
    _refuse_second_customers(roles, scores["customers"], by_name)
    if "events" not in roles.tables and "customers" in roles.tables and times_of_row(roles.tables["customers"]):
        roles.tables["events"] = roles.tables["customers"]  # it tells when each of them began and left
    _find_ids(roles)
    for name in by_name:
        if name not in {profile.table.name for profile in roles.tables.values()}:
            rival = next((role for role in ROLES if role in roles.tables and scores[role][name] >= LEAST), None)
            roles.unused[name] = (
                f"it looks like {rival} as well, and a company has one table of them: make one file (or query) of both if it belongs there"
                if rival
                else "nothing tells that it holds customers, events or payments"
            )
    return roles


def _score(profile: TableProfile, role: Table) -> float:
    owner = best_named(profile)
    many = owner is None or owner.distinct < 0.9 * profile.height
    name = profile.plain
    if role == "customers":
        return _customers_score(profile, owner, many=many)
    if not profile.times:
        return 0.0
    if role == "payments":
        amount = amount_column(profile, owner)
        if amount is None or (times_of_row(profile) and not names.PAYMENTS_TABLE.search(name)):
            return 0.0  # a contract has a price, and is no payment
        score = (
            1.0
            + (3 if names.PAYMENTS_TABLE.search(name) else 0)
            + (1 if names.AMOUNT.search(amount.plain) else 0)
            + (1 if many else -2)
        )
        return score - (3 if names.CUSTOMERS_TABLE.search(name) and not many else 0)
    kind = type_column(profile, owner)
    score = (3.0 if names.EVENTS_TABLE.search(name) else 0.0) + (1 if many else 0)
    if kind is not None and many:
        score += 1.5
    if kind is None and not names.EVENTS_TABLE.search(name):
        return 2.5 if len(times_of_row(profile)) > 1 else 0.0  # a stretch: what began and what ended
    if amount_column(profile, owner) is not None and not names.EVENTS_TABLE.search(name):
        score -= 1.5
    return score


def _customers_score(profile: TableProfile, owner: Column | None, *, many: bool) -> float:
    score = 0.0
    if names.CUSTOMERS_TABLE.search(profile.plain) and not names.PAYMENTS_TABLE.search(profile.plain):
        score += 3
    if names.SUBSCRIPTIONS_TABLE.search(profile.plain):
        score += 1.5
    if owner is not None and not many:
        score += 2
    if any(names.SIGNED_UP.search(column.plain) for column in profile.times):
        score += 1
    if (guess := guess_label(profile)) is not None and (not many or owner is None):
        score += 2 if guess.is_sure else 1
        score += 1 if not profile.times else 0
    if many and owner is not None and not names.CUSTOMERS_TABLE.search(profile.plain):
        score -= 2
    return score


def _refuse_second_customers(roles: Roles, scores: dict[str, float], by_name: dict[str, TableProfile]) -> None:
    """Two tables of customers are a question that only the caller can answer."""
    if "customers" not in roles.tables:
        return
    first = roles.tables["customers"]
    taken = {profile.table.name for profile in roles.tables.values()}
    for name, score in scores.items():
        if name in taken or score < LEAST + 1 or abs(scores[first.table.name] - score) > CLOSE:
            continue
        ours, theirs = (
            max(
                (
                    joined.share
                    for role, act in roles.tables.items()
                    if role != "customers" and (joined := _joined(act, one))
                ),
                default=0.0,
            )
            for one in (first, by_name[name])
        )
        if abs(ours - theirs) < 0.2:  # noqa: PLR2004 - a fifth of the rows tells them apart
            raise InputError(
                f"{first.table.name} and {name} both look like the table of customers; expected one. Name the files that belong together, "
                "and leave the other one out"
            )
        if theirs > ours:
            roles.tables["customers"] = by_name[name]
            first = by_name[name]


def _joined(act: TableProfile, customers: TableProfile) -> Join | None:
    own = best_named(customers)
    return None if own is None else best_join(act, own)


def _find_ids(roles: Roles) -> None:
    customers = roles.tables.get("customers")
    acts: dict[Table, TableProfile] = {role: table for role, table in roles.tables.items() if role != "customers"}
    if customers is None:
        roles.ids = {role: _own_id(act).name for role, act in acts.items()}
        if len(acts) == len(ROLES) - 1:
            payers = acts["payments"].columns[roles.ids["payments"]]
            roles.joins["events"] = best_join(acts["events"], payers) or Join(roles.ids["events"], 0.0, 0.0)
            roles.ids["events"] = roles.joins["events"].column
    elif acts:
        column, found = _id_that_joins(customers, acts)
        joins: dict[Table, Join] = {
            role: found.get(role) or Join(_own_id(act).name, 0.0, 0.0) for role, act in acts.items()
        }
        roles.ids = {
            "customers": (column or _own_id(customers)).name,
            **{role: joined.column for role, joined in joins.items()},
        }
        roles.joins = joins
    elif (own := best_named(customers)) is not None and own.is_unique:
        roles.ids["customers"] = own.name


def _id_that_joins(customers: TableProfile, acts: Mapping[Table, TableProfile]) -> tuple[Column | None, dict[Table, Join]]:
    """The column of the customers' table whose values the other tables have, and theirs."""
    best: tuple[float, Column | None, dict[Table, Join]] = (0.0, None, {})
    for column in customers.columns.values():
        is_id = column.time is None and not column.is_truth and (column.is_whole or not column.is_number)
        if not is_id or (named(column) == 0 and not column.is_unique):
            continue
        joins = {role: joined for role, act in acts.items() if (joined := best_join(act, column)) is not None}
        total = sum(
            joined.share * (1 + named(acts[role].columns[joined.column])) + joined.coverage
            for role, joined in joins.items()
        )
        if joins and total + named(column) > best[0]:
            best = (total + named(column), column, joins)
    return best[1], best[2]


def _own_id(profile: TableProfile) -> Column:
    own = best_named(profile)
    if own is None:
        raise InputError(
            f"{profile.table.name} has no column with the ids of customers: none is called like one, and none has the ids of another table; it "
            f"has {shown_names(list(profile.columns))}. Name the column like `customer_id`, or map it in a churn.yaml of your own"
        )
    return own


def _no_table(profiles: Sequence[TableProfile]) -> str:
    listed = "; ".join(f"{profile.table.name} ({shown_names(list(profile.columns))})" for profile in profiles[:5])
    return (
        "no table can be told for one of customers, events or payments; expected a table with a column that says who left, or rows with a "
        f"customer, a time, and an amount or a type. Found {listed}"
    )
