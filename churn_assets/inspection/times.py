"""Maps the columns of times: when a row happened, when it became known, when it was due.

Belongs here: the choice among a table's times, their one format and their zone. Does not belong here: how a column's times are written
(``columns``).
"""

import re

import polars as pl

from churn_assets.inspection import names
from churn_assets.inspection.columns import Column, TableProfile
from churn_assets.inspection.draft import Draft, TableDraft
from churn_assets.inspection.time_forms import ENOUGH, TimeForm, seconds
from churn_store.mapping.settings import DIRECTIVE
from churn_store.mapping.tables import Table
from churn_store.mapping.text import MappedText

CHANGED = re.compile(r"_updated|_modified|_changed|_last_|_geandert|_aktualisiert|_modifi|_actualizado|_bijgewerkt")
MADE = re.compile(r"_created|_erstellt|_cree|_creado|_aangemaakt")
VERSION = re.compile(r"_occurred|_valid_from|_changed|_as_of|_gultig_ab|_effective|_snapshot")
PAID = re.compile(
    r"_paid|_payment|_bezahlt|_zahl|_pagad|_pago|_pay[ei]|_betaal|_settled|_invoice|_order|_rechnung|_factur|_transaction|_purchase|_booked|_bestell"
)


def map_times(draft: Draft, profile: TableProfile, table: TableDraft, role: Table) -> None:
    """Map ``occurred``, ``known`` and ``due`` of events or payments.

    Raises:
        AssertionError: if the table has no time.
    """
    free = [column for column in profile.times if column.name not in table.columns.values()]
    occurred = max(free, key=lambda column: _occurred_score(column, role))
    table.columns["occurred"] = occurred.name
    set_form(draft, profile, table, role, occurred)
    if span := _aggregated_by(profile, occurred):
        table.described["aggregated_by"] = span
        draft.ask(
            f"{profile.table.name}: {occurred.name} names a {span} that a row sums up; each row counts as one act at the end of its {span}, when "
            "its sum was known",
            f"source.{role}.aggregated_by: null",
        )
    others = [("known", names.KNOWN), *((("due", names.DUE),) if role == "payments" else ())]
    map_others(table, [column for column in free if column is not occurred], others, form_of(occurred))


def _aggregated_by(profile: TableProfile, column: Column) -> str:
    """Which stretch of time a row sums up: a week or a month; empty if it is a single act.

    First days of months alone do not tell: bills are paid on them as well. The column's name does, or times that have no day.
    """
    form = form_of(column)
    has_day = form.time_format is None or "%" not in form.time_format or "d" in DIRECTIVE.findall(form.time_format)
    if has_day and not names.PERIOD.search(column.plain):
        return ""
    dates = pl.from_epoch(seconds_of(profile, column), time_unit="s").drop_nulls()
    if dates.len() == 0 or bool((dates.dt.truncate("1d") != dates).any()):
        return ""
    if bool((dates.dt.day() == 1).all()):
        return "month"
    return "week" if bool((dates.dt.weekday() == dates.dt.weekday()[0]).all()) else ""


def map_others(table: TableDraft, free: list[Column], others: list[tuple[str, re.Pattern[str]]], form: TimeForm) -> None:
    """Map further times by their names, if they are written as the first one is: a table has one format."""
    for canonical, pattern in others:
        for column in free:
            if column.name in table.columns.values() or not pattern.search(column.plain):
                continue
            must = canonical != "due"
            if must and column.filled < ENOUGH * column.values.len():
                table.left_out[column.name] = (
                    f"it would be `{canonical}`, but is missing in {1 - column.filled / column.values.len():.0%} of the rows"
                )
            elif not is_written_alike(column, form):
                table.left_out[column.name] = (
                    f"it would be `{canonical}`, but is written in another format than the other times of the table"
                )
            else:
                table.columns[canonical] = column.name
                break


def is_written_alike(column: Column, form: TimeForm) -> bool:
    """Whether a column's times can be read by the format of another one."""
    own = form_of(column)
    return own.by_type or own.time_format == form.time_format or (form.by_type and own.time_format is None)


def seconds_of(profile: TableProfile, column: Column) -> pl.Series:
    """A column's times as ingest reads them, in epoch seconds; null for what is none."""
    text = MappedText(column.values.to_frame(column.name), times=profile.table.text.times)
    return seconds(text, column.name, form_of(column).time_format)


def form_of(column: Column) -> TimeForm:
    """How a column's times are written."""
    if column.time is None:
        raise AssertionError("a column of times")
    return column.time


def set_form(draft: Draft, profile: TableProfile, table: TableDraft, role: Table, column: Column) -> None:
    """Write the format of a table's times and their zone, and ask what the values do not say."""
    form = form_of(column)
    if form.time_format is not None:
        table.described["time_format"] = form.time_format
        if form.swapped:
            draft.ask(
                f"{profile.table.name}: no day in {column.name} is above 12; taken for days before months where both are possible",
                f'source.{role}.time_format: "{form.swapped}"',
            )
    if form.has_time and not form.has_zone:
        if profile.table.time_zone:
            table.described["time_zone"] = profile.table.time_zone
            table.why["time_zone"] = "the zone of the database; its times name none"
            draft.ask(
                f"{profile.table.name}: the times in {column.name} name no zone; taken for those of {profile.table.time_zone}, as the database says",
                f"source.{role}.time_zone: UTC",
            )
        else:
            draft.ask(
                f"{profile.table.name}: the times in {column.name} name no zone; taken for UTC",
                f"source.{role}.time_zone: Europe/Berlin",
            )


def _occurred_score(column: Column, role: Table) -> float:
    score = 0.0
    if names.WHEN.search(column.plain):
        score += 1
    if re.search(r"_occurred|_happened|_event_|_timestamp|_ts_|_datetime", column.plain):
        score += 2
    if role == "payments" and PAID.search(column.plain):
        score += 1.5
    if MADE.search(column.plain):
        score -= 0.5
    if CHANGED.search(column.plain):
        score -= 1 if re.search(r"_changed", column.plain) else 2
    if names.KNOWN.search(column.plain):
        score -= 3
    if names.DUE.search(column.plain) or names.ENDED.search(column.plain):
        score -= 2.5
    if column.filled < ENOUGH * column.values.len():
        score -= 4
    return score
