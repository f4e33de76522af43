"""The report of `churn validate` as lines for a person."""

from collections.abc import Iterator

from churn_assets.preflight.report import Report, RoleRows, SnapshotRate, TableFindings

SHOWN_RULES = 8
WIDTH = 14
WORDS_SHOWN = 8
"""Most categories whose number of words is listed."""


def lines(report: Report) -> Iterator[str]:
    """The report, a line at a time: tables, rates, rows to train on, notes, and what is to decide or would be refused."""
    yield f"company {report.company}, as of {report.as_of}"
    for table in report.tables:
        yield ""
        yield from _table(table)
    if report.rates:
        yield ""
        yield "churn rate"
        for rate in report.rates:
            yield f"  {rate.snapshot:<12}{rate.at_risk:>10,} at risk  {_share(rate)}"
    if report.roles:
        yield ""
        yield "training set"
        for role in report.roles:
            yield _line(role.role, _rows(role))
        if report.words:
            most = list(report.words.items())
            more = f" and {len(most) - WORDS_SHOWN} more categories" if len(most) > WORDS_SHOWN else ""
            yield _line("words", ", ".join(f"{name} {count:,}" for name, count in most[:WORDS_SHOWN]) + more)
        if report.constant:
            yield _line("constant", f"{', '.join(report.constant)}: the same in all rows, and left out of models")
    for note in report.notes:
        yield f"note: {note}"
    yield ""
    yield from _verdict(report)


def _verdict(report: Report) -> Iterator[str]:
    if report.fits:
        yield "the tables fit" + (": training can begin" if report.roles else "")
    else:
        yield f"{len(report.all_findings)} found that would be refused or stop a run:"
        for finding in report.all_findings:
            yield f"  - {finding}"
    if report.remedies:
        yield "with one of these in churn.yaml training begins; each was tried on these tables:"
        for remedy in report.remedies:
            yield f"  {remedy.settings}    # {'; '.join(f'{role.role} {role.rows:,}' for role in remedy.roles)} rows"
    if report.enough_on:
        yield f"with the settings as they are there are enough snapshots once the data reaches {report.enough_on}"
    if report.questions:
        yield f"{len(report.questions)} to decide:"
        for question in report.questions:
            yield f"  ? {question}"


def _rows(role: RoleRows) -> str:
    share = f", {role.churned / role.rows:.2%} churned" if role.rows else ""
    when = "" if not role.first else f", {role.first}" if role.first == role.last else f", {role.first} to {role.last}"
    return f"{role.rows:,} rows{share}{when}"


def _share(rate: SnapshotRate) -> str:
    if rate.churn_rate is None:
        return "nobody has a label" if rate.at_risk else "nobody at risk"
    labelled = "" if rate.labelled is None else f" of {rate.labelled:,} with a label"
    by_failure = "" if rate.by_payment_failure is None else f", {rate.by_payment_failure:,} of them by payment failure"
    return f"{rate.churn_rate:7.2%}{labelled}{by_failure}"


def _table(seen: TableFindings) -> Iterator[str]:
    if not seen.rows and not seen.key:
        yield f"{seen.table}: can't be read"
        return
    yield f"{seen.table}: {seen.rows:,} rows"
    if seen.span is not None:
        yield _line("span", f"{seen.span.first} to {seen.span.last}, last known {seen.span.known}")
    yield _line("key", f"{', '.join(seen.key)}, {seen.repeated:,} rows repeat one")
    if seen.mapped:
        yield _line("mapped", _mapped(seen.mapped))
    for name, meaning in seen.missing.items():
        yield _line("missing", f"{name}: {meaning}")
    if seen.labels is not None:
        yield _line("labels", str(seen.labels))
    if seen.nulls:
        yield _line("nulls", ", ".join(f"{name} {count:,}" for name, count in seen.nulls.items()))
    yield _line("quarantine", f"{seen.set_aside:,} rows ({seen.share:.2%}) would be set aside")
    for broken in seen.broken[:SHOWN_RULES]:
        values = f"; found {', '.join(broken.values)}" if broken.values else ""
        yield _line("", f"{broken.column}: {broken.rule}: {broken.rows:,} rows ({broken.share:.2%}){values}")
    if seen.late_share is not None:
        yield _line("late", f"{seen.late_share:.2%} became known more than a day after they happened")
    if seen.empty_periods:
        yield _line("empty", f"{len(seen.empty_periods)} periods, the last {seen.empty_periods[-1]}")
    yield from _event_types(seen)
    for note in seen.notes:
        yield _line("note", note)
    if seen.proposed_events is not None:
        yield _line(
            "note",
            "roles as names sound, and types with features of their own; if it is right, make this the section events:",
        )
        yield seen.proposed_events


def _event_types(seen: TableFindings) -> Iterator[str]:
    for place, event_type in enumerate(seen.event_types):
        yield _line("" if place else "types", f"{event_type.rows:>10,}  {event_type.word}  {event_type.role or '-'}")
    if seen.more_event_types:
        yield _line("", f"and {seen.more_event_types:,} rarer types without a role")
    for place, own in enumerate(seen.own_features):
        said = (
            "has features of its own"
            if own.chosen
            else f"no features: {own.against}"
            if own.against
            else "may have features"
        )
        yield _line(
            "" if place else "in 90 days",
            f"{own.customers:>10.1%}  {own.word}  {own.each:.1f} for each customer who has it; {said}",
        )


def _mapped(columns: dict[str, str]) -> str:
    same = [name for name, column in columns.items() if name == column]
    renamed = [f"{name} <- {column}" for name, column in columns.items() if name != column]
    return ", ".join([*renamed, *([f"{len(same)} of the same name"] if same else [])])


def _line(name: str, value: str) -> str:
    return f"  {name:<{WIDTH}}{value}"
