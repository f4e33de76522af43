"""The commands about releases: what served, serves and waits, and a named person's decision about it.

Each command works with MLflow and Dagster down. Belongs here: options and output. Does not belong here: what is decided
(``releases.approval``, ``releases.challenge``, ``releases.rollback``).
"""

from datetime import UTC, datetime
from typing import Any

import click
import msgspec
import sqlalchemy as sa

from churn_store.database.migrate import require_migrated
from churn_store.database.schema import connect
from churn_store.releases.approval import approve as make_champion
from churn_store.releases.approval import reject as reject_candidate
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.challenge import challenge, end_challenge
from churn_store.releases.lifecycle import SHOWN_DIGITS, State, how_to_approve, states
from churn_store.releases.log import Serving, history
from churn_store.releases.manifest import Blessing
from churn_store.releases.resolve import find_manifest
from churn_store.releases.rollback import roll_back
from churn_store.settings import ConfigFile
from churn_store.storage.digest_store import DigestStore

SHOWN_CANDIDATES = 10
"""Most candidates listed that never served, not counting those that wait."""

by_option = click.option("--by", required=True, metavar="NAME", help="Who decides; it stands in the history for ever.")
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; it stands in the history for ever.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--waiting", "only_waiting", is_flag=True, help="Only the accepted candidates that wait for `churn approve`.")
def releases(as_json: bool, only_waiting: bool) -> None:
    """List which release served from when on, newest first: who released it, and why; then the candidates that never served."""
    _, engine, files = open_store()
    known = states(engine, files)
    verdicts = [
        one for one in newest_blessings(engine) if known[one.candidate] not in {"champion", "challenger", "retired"}
    ]
    if only_waiting:
        verdicts = [one for one in verdicts if known[one.candidate] == "waiting"]
    rows = [] if only_waiting else history(engine, limit=None)
    if as_json:
        for fields in (*_rows_told(rows), *(_candidate_told(one, known[one.candidate]) for one in verdicts)):
            click.echo(msgspec.json.encode(fields))
        return
    for fields in _rows_told(rows):
        click.echo(_row_in_words(fields))
    waiting = [one for one in verdicts if known[one.candidate] == "waiting"]
    others = [one for one in verdicts if known[one.candidate] != "waiting"]
    for one in (*waiting, *others[:SHOWN_CANDIDATES]):
        click.echo(_candidate_in_words(one, known[one.candidate]))
    if len(others) > SHOWN_CANDIDATES:
        click.echo(f"and {len(others) - SHOWN_CANDIDATES} older candidates that never served (--json lists them)")
    if only_waiting and not waiting:
        click.echo("no candidate waits for approval")


@click.command()
@click.argument("candidate", metavar="ID")
@by_option
@reason_option
@click.option(
    "--override", is_flag=True, help="Release it against the gate, or against a newer champion, in your own name."
)
@click.option(
    "--challenger",
    "share",
    type=float,
    metavar="SHARE",
    help="Not as champion: it answers this share, at most 0.5; 0: in shadow.",
)
def approve(candidate: str, by: str, reason: str, override: bool, share: float | None) -> None:
    """Make the accepted candidate ID the champion, or with --challenger let it answer a share of the requests, or none in shadow.

    ID is a digest of `churn releases` (four digits are enough where they mean one), an epoch, or NAME/VERSION of the registry.
    """
    settings, engine, files = open_store()
    _, manifest = find_manifest(engine, files, candidate)
    now_s = settings.clock.now_s()
    if share is None:
        row = make_champion(engine, files, manifest.candidate, by=by, reason=reason, now_s=now_s, override=override)
    else:
        row = challenge(
            engine, files, manifest.candidate, share=share, by=by, reason=reason, now_s=now_s, override=override
        )
    _say(row)


@click.command()
@click.argument("candidate", metavar="ID")
@by_option
@reason_option
def reject(candidate: str, by: str, reason: str) -> None:
    """Say that the candidate ID is not to be released; it waits no more. What serves is not touched."""
    settings, engine, files = open_store()
    _, manifest = find_manifest(engine, files, candidate)
    verdict = reject_candidate(engine, files, manifest.candidate, by=by, reason=reason, now_s=settings.clock.now_s())
    click.echo(f"{verdict.candidate[:SHOWN_DIGITS]} is rejected by {verdict.actor}: {verdict.reason}")


@click.command()
@by_option
@reason_option
@click.option("--to", type=int, metavar="EPOCH", help="Whose champion serves again; default: the former champion.")
def rollback(by: str, reason: str, to: int | None) -> None:
    """Put the former champion back, or that of an epoch; it was verified before anything is changed."""
    settings, engine, files = open_store()
    _say(roll_back(engine, files, by=by, reason=reason, now_s=settings.clock.now_s(), to=to, once=True))


@click.group()
def challenger() -> None:
    """The release that answers a share of the requests beside the champion (`churn approve ID --challenger SHARE`)."""


@challenger.command("end")
@by_option
@reason_option
def challenger_end(by: str, reason: str) -> None:
    """Let the champion answer every request again."""
    settings, engine, files = open_store()
    _say(end_challenge(engine, files, by=by, reason=reason, now_s=settings.clock.now_s()))


def open_store() -> tuple[ConfigFile, sa.Engine, DigestStore]:
    """The settings, the serving database and the release files.

    Raises:
        InputError: if the database does not answer or is not migrated.
    """
    settings = ConfigFile.load()
    engine = connect(settings.database_url)
    require_migrated(engine)
    return settings, engine, DigestStore(settings.releases_url)


def _rows_told(rows: list[Serving]) -> list[dict[str, Any]]:
    """Rows of the history, each with the champion before it.

    Args:
        rows: all releases, newest first.
    """
    before = (row.champion for row in rows[1:])
    return [
        {**msgspec.to_builtins(row), "from": next(before, None), "to": row.champion, "serves": row is rows[0]}
        for row in rows
    ]


def _candidate_told(blessing: Blessing, state: State) -> dict[str, Any]:
    return {
        "candidate": blessing.candidate,
        "state": state,
        "verdict": blessing.verdict,
        "decided_s": blessing.decided_s,
        "actor": blessing.actor,
        "epoch": blessing.epoch,
        "gain": blessing.gain,
        "reasons": blessing.reasons,
    }


def _row_in_words(told: dict[str, Any]) -> str:
    former = "none" if told["from"] is None else told["from"][:SHOWN_DIGITS]
    way = told["to"][:SHOWN_DIGITS] if told["from"] == told["to"] else f"{former} -> {told['to'][:SHOWN_DIGITS]}"
    share = f"at {told['challenger_share']:.0%}" if told["challenger_share"] else "in shadow"
    challenge = f"  challenger {told['challenger'][:SHOWN_DIGITS]} {share}" if told["challenger"] else ""
    serves = "  serves" if told["serves"] else ""
    return (
        f"epoch {told['epoch']}  {_when(told['published_s'])}  {told['kind']}  {way}{challenge}{_gain(told['gain'])}  "
        f"by {told['actor']}: {told['reason']}{serves}"
    )


def _candidate_in_words(blessing: Blessing, state: State) -> str:
    short = blessing.candidate[:SHOWN_DIGITS]
    summary = f"{state}  {short}  {_when(blessing.decided_s)}{_gain(blessing.gain)}  {blessing.verdict} by {blessing.actor}"
    summary += f": {blessing.reason}" if blessing.reason else ""
    if state == "waiting":
        return f"{summary}\n  {how_to_approve(blessing.candidate)}"
    failed = [f"{rule.name}: {rule.found}" for rule in blessing.rules if not rule.passed]
    if state == "blessed":
        against = f"the champion of epoch {blessing.epoch}" if blessing.epoch else "no champion"
        failed = [f"compared with {against}; another one serves now, so judge it anew, or approve it with --override"]
    return "\n  ".join([summary, *failed])


def _gain(gain: float | None) -> str:
    return "" if gain is None else f"  gain {gain:+.4f} a customer"


def _when(epoch_s: int) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M}"


def _say(row: Serving) -> None:
    how = "in shadow" if row.is_shadowed else f"answers {row.challenger_share:.0%} beside it"
    beside = f", {row.challenger[:SHOWN_DIGITS]} {how}" if row.challenger else ""
    click.echo(f"epoch {row.epoch}: {row.champion[:SHOWN_DIGITS]} serves{beside} ({row.kind} by {row.actor}: {row.reason})")
