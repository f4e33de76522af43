"""The model card: nothing but facts, all of them, whatever a company calls its things."""

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from churn_assets.champion.card.files import card_named, try_to_log_card
from churn_assets.champion.card.limitations import measure_in_words
from churn_assets.champion.card.model_card import Card, card_of, document_of
from churn_assets.champion.card.required_facts import ALWAYS, BY_TIME, missing
from churn_assets.champion.gate.bases import BASES
from churn_assets.champion.gate.verdict import RULES
from churn_assets.cli.card import card
from churn_assets.reporting.basis import Basis
from churn_assets.reporting.document import Bullets, DocumentPart, DocumentTable, Paragraph
from churn_assets.resources.serving import ServingStore
from churn_store.database.migrate import migrate
from churn_store.errors import InputError
from churn_store.model.reasons.plan import Frequency, Group, ReasonPlan
from churn_store.model.signature import Column, Signature
from churn_store.releases.bundles import stage
from churn_store.releases.log import Serving
from churn_store.releases.manifest import (
    SINCE,
    Blessing,
    Evaluation,
    FileEntry,
    Interval,
    KindQuality,
    Manifest,
    ProfitTerms,
    ReliabilityBin,
    Rule,
    Segment,
    TableVersion,
    encode,
)
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import bless, release, train

SCRIPT = "<script>alert(1)</script>"
PIPES = "a|b*c_d"


def manifest_of(**changed: Any) -> Manifest:
    """A manifest that says everything, of a company with unfortunate words."""
    columns = (
        Column(name="visits", kind="number", low=0.0, unit="visits", description="visits in 30 days"),
        Column(name="plan", kind="category", nullable=True, categories=("", "pro", SCRIPT, PIPES)),
        Column(name="country", kind="category", categories=("", "DE")),
    )
    facts: dict[str, Any] = {
        "company": "shop",
        "family": "gradient_boosting",
        "signature": Signature(columns),
        "label": "an event 'cancelled' within 30 days after the snapshot",
        "horizon_days": 30,
        "threshold": 0.1375,
        "metrics": {"auc": 0.81234, "log_loss": 0.21, "calibration_slope": 0.8, "true_positives": 61.0, "own_measure": 2.5},
        "trained_on": ("2025-03-01", "2025-04-01", "2025-05-01", "2025-07-01"),
        "training_rows": 12_345,
        "judged_on": ("2025-09-01", "2025-10-01"),
        "judging_rows": 6_789,
        "split": "by time",
        "tables": {"training_set": TableVersion(7, "d" * 64)},
        "mlflow": {"run_id": "r1", "model_version": "4"},
        "code_commit": "c" * 40,
        "lock_sha256": "1" * 64,
        "created_s": 1_764_547_200,
        "files": {"model.onnx": FileEntry("e" * 64, 12)},
        "parameters": {"learning_rate": 0.05, "max_iter": 150},
        "calibrated_on": ("2025-07-01",),
        "population": "customers who signed up at least 30 days before the snapshot",
        "purpose": f"Call those who pay back. {SCRIPT}",
        "evaluation": Evaluation(
            confidence=0.95,
            intervals={"auc": Interval(0.81234, 0.79, 0.83), "calibration_slope": Interval(0.8, 0.7, 0.9)},
            by_snapshot={"2025-09-01": {"auc": 0.80}, "2025-10-01": {"auc": 0.82}},
            baselines={"base_rate": {"auc": 0.5, "log_loss": 0.25}, "recency_rule": {"auc": 0.7, "log_loss": 0.2}},
            segments=(
                segment("plan", "pro", 3_000, 4.0),
                segment("plan", SCRIPT, 2_000, -2.0),
                segment("plan", "", 500, 1.0, auc=None),
            ),
            reliability=(ReliabilityBin(3_000, 0.05, 0.04), ReliabilityBin(3_789, 0.4, 0.45)),
            importance={"visits": 0.2, "plan": 0.05, "country": 0.0},
            profit=ProfitTerms(200.0, 10.0, 1.0, 6.0, 14.0),
        ),
    }
    return Manifest(**{**facts, **changed})


def segment(column: str, word: str, rows: int, profit: float, *, auc: float | None = 0.8) -> Segment:
    return Segment(
        column=column,
        word=word,
        rows=rows,
        base_rate=0.2,
        auc=auc,
        calibration=0.01,
        profit=Interval(profit, profit - 1, profit + 1),
        threshold=0.13,
    )


def blessing_of(manifest: Manifest, verdict: Any = "accepted", **more: Any) -> Blessing:
    rules = (
        Rule("auc_above_floor", passed=True, found="0.812", allowed="at least 0.6"),
        Rule("more_profit_than_champion", passed=False, found=f"tie on {SCRIPT}", allowed="above 0", undecided=True),
    )
    return Blessing(manifest.candidate, verdict, rules, "dagster run 7", 1_764_547_300, **more)


def without(manifest: Manifest, name: str) -> Manifest:
    """A manifest that lacks a fact."""
    head, _, rest = name.partition(".")
    nothing: Any = "" if isinstance(getattr(manifest, head), str) else 0 if isinstance(getattr(manifest, head), int) else ()
    if not rest:
        kept = getattr(manifest, head)
        nothing = msgspec.UNSET if head in SINCE[2] and not isinstance(kept, str) else nothing
        return msgspec.structs.replace(manifest, **{head: nothing})
    inner = getattr(manifest, head)
    return msgspec.structs.replace(
        manifest, **{head: msgspec.structs.replace(inner, **{rest: type(getattr(inner, rest))()})}
    )


class Outline(HTMLParser):
    """What a page is made of; a tag that is not closed or that a word has opened is found."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of any element."""
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "line", "circle", "polyline"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Of the one that was opened last."""
        if tag not in {"line", "circle", "polyline"}:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Between elements."""
        self.words.append(data)


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


def both(made: Card) -> list[str]:
    """The text of a card in both forms, without what escapes it."""
    return [" ".join(outline(made.html).words), re.sub(r"\\(.)", r"\1", made.markdown)]


def test_a_card_says_all_that_the_manifest_knows() -> None:
    manifest = manifest_of()
    for text in both(card_of(manifest, None, blessing=blessing_of(manifest, gain=0.25))):
        for fact in (
            "Model card: gradient_boosting, shop",
            manifest.candidate,
            "30 days",
            "an event 'cancelled' within 30 days after the snapshot",
            "customers who signed up at least 30 days before the snapshot",
            "2025-03-01 to 2025-05-01, 3 snapshots",
            "2025-07-01, 1 snapshot",
            "2025-09-01 to 2025-10-01, 2 snapshots",
            "12,345",
            "6,789",
            "d" * 64,
            "0.8123 (0.79 to 0.83)",
            "recency rule",
            "own measure",
            "learning_rate",
            "0.1375",
            "Beta(6, 14), mean 30%",
            "plan: pro",
            "plan: missing",
            "one class",
            "visits in 30 days",
            "0 to any",
            "auc_above_floor",
            "undecided",
            "Profit per customer above the champion's on the same rows: +0.2500 (priced).",
            "There was no champion before.",
            "It has not served.",
        ):
            assert fact in text, fact


@pytest.mark.parametrize("name", [*ALWAYS, *BY_TIME])
def test_each_missing_fact_fails_by_its_name(name: str) -> None:
    lacking = without(manifest_of(), name)
    assert name in missing(lacking)
    with pytest.raises(InputError, match=rf"has no .*\b{re.escape(name)}\b.*a card is made of facts alone: train anew"):
        card_of(lacking, None)


def test_all_missing_facts_are_named_together() -> None:
    with pytest.raises(InputError, match="has no company, judging_rows, judged_on; a card"):
        card_of(manifest_of(company="", judging_rows=0, judged_on=()), None)


def test_a_manifest_of_format_1_has_no_card_and_says_why() -> None:
    older = manifest_of(format=1, **dict.fromkeys([*SINCE[2], *SINCE[3]], msgspec.UNSET))
    with pytest.raises(
        InputError, match=r"was made before format 2 and does not say how its model was evaluated.*train anew"
    ):
        card_of(older, None)
    assert "not said" in card_of(manifest_of(), older).markdown, "as a former champion it is compared as far as it goes"


def test_data_without_time_needs_no_snapshots_and_its_card_says_what_could_not_be_checked() -> None:
    evaluation = msgspec.structs.replace(cast("Evaluation", manifest_of().evaluation), by_snapshot={})
    untimed = manifest_of(
        horizon_days=None,
        trained_on=(),
        calibrated_on=(),
        judged_on=(),
        split="by customer: seed 42, held out 0.3",
        evaluation=evaluation,
    )
    for text in both(card_of(untimed, None)):
        assert "none: the data has no time" in text
        assert "whether the model holds later than its rows could not be checked" in text
        assert "the customers who were held out" in text


def test_whatever_a_company_calls_its_things_the_page_stays_a_page() -> None:
    made = card_of(manifest_of(), None, blessing=blessing_of(manifest_of()))
    page = outline(made.html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert f"plan: {SCRIPT}" in page.words
    assert SCRIPT not in made.markdown
    assert r"a\|b\*c\_d" in made.markdown
    lines = made.markdown.splitlines()
    for head, rule in pairwise(lines):
        if rule.startswith("| ---"):
            bars = len(re.findall(r"(?<!\\)\|", head))
            rows = lines[lines.index(rule) :]
            table = rows[: rows.index("")] if "" in rows else rows
            assert {len(re.findall(r"(?<!\\)\|", row)) for row in table} == {bars}


def test_the_page_needs_no_other_file_and_can_be_read_without_seeing_it() -> None:
    page = outline(card_of(manifest_of(), None).html)
    tags = [tag for tag, _ in page.tags]
    assert not {"link", "img", "iframe"} & set(tags)
    assert ("html", {"lang": "en"}) in page.tags
    assert tags.count("h1") == 1
    assert tags.count("table") == tags.count("caption")
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in page.tags if tag == "th")
    [picture] = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert picture["role"] == "img"
    assert {"title", "desc"} <= set(tags)


def sentences_of(part: DocumentPart) -> Sequence[str]:
    return part.items if isinstance(part, Bullets) else [part.text] if isinstance(part, Paragraph) else []


def test_no_figure_of_a_card_lacks_the_word_for_what_it_rests_on() -> None:
    kinds = {"voluntary": KindQuality(churners=40, auc=0.8, recall=0.5)}
    manifest = manifest_of(
        metrics={"auc": 0.8, "profit": 2.5, "auc_ceiling": 0.83},
        protected={"visits": "why, 2 persons"},
        evaluation=msgspec.structs.replace(cast("Evaluation", manifest_of().evaluation), kinds=kinds),
    )
    former = manifest_of(threshold=0.2, metrics={"auc": 0.79, "profit": 2.0, "auc_ceiling": 0.83})
    history = [Serving(1, "d" * 64, None, 0.0, "run 7", "first", 1_764_547_400)]
    made = document_of(manifest, former, verdict=blessing_of(manifest, gain=0.25), history=history)
    tables = [part for part in made.blocks if isinstance(part, DocumentTable)]
    lacking = [table.caption for table in tables if not table.bases and re.search(r"\d", str(table.rows))]
    assert lacking == []
    sentences = [text for part in made.blocks for text in sentences_of(part) if re.search(r"\d\.\d", text)]
    assert [text for text in sentences if not any(basis.value in text for basis in Basis)] == []
    word = {
        (row[0], basis)
        for table in tables
        if len(table.bases) > 1
        for row, basis in zip(table.rows, table.bases, strict=True)
    }
    assert {
        ("ROC AUC", Basis.MEASURED),
        ("profit per customer at the threshold", Basis.PRICED),
        (measure_in_words("auc_ceiling"), Basis.SIMULATED),
        ("cost of the offer", Basis.ASSUMED),
        ("threshold", Basis.PRICED),
        ("more_profit_than_champion", Basis.PRICED),
    } <= word
    used = {basis.value for table in tables for basis in table.bases}
    assert {row[0] for table in tables if table.caption.startswith("What a figure") for row in table.rows} == used


def test_every_rule_of_the_gate_says_what_its_figures_rest_on() -> None:
    assert set(BASES) == set(RULES)


def test_a_first_release_that_is_undecided_says_so_and_by_which_rules() -> None:
    manifest = manifest_of()
    markdown = re.sub(r"\\(.)", r"\1", card_of(manifest, None, blessing=blessing_of(manifest, "undecided")).markdown)
    assert (
        "Verdict: undecided by more_profit_than_champion: too little to decide by; it may serve all the same, as no champion would "
        "stay in its place. By dagster run 7"
    ) in markdown
    second = msgspec.structs.replace(blessing_of(manifest, "undecided"), epoch=3)
    assert second.in_words.endswith("; the champion stays")


def test_less_profit_than_a_simple_rule_is_a_limit() -> None:
    evaluation = cast("Evaluation", manifest_of().evaluation)
    beside = {"base_rate": {"profit": 0.0}, "logistic_regression": {"profit": 2.542}}
    changed = msgspec.structs.replace(
        evaluation, baselines=beside, intervals={**evaluation.intervals, "profit": Interval(2.5, 2.0, 3.0)}
    )
    markdown = re.sub(r"\\(.)", r"\1", card_of(manifest_of(evaluation=changed), None).markdown)
    assert (
        "It brings less profit per customer than simple rules on the same rows: logistic regression by 0.042 (priced)."
        in markdown
    )


def test_limits_follow_from_the_facts() -> None:
    manifest = manifest_of()
    verdict = blessing_of(manifest, "overridden", reason="the call centre waits")
    markdown = re.sub(r"\\(.)", r"\1", card_of(manifest, None, blessing=verdict).markdown)
    limits = markdown.split("## Limits")[1].split("## History")[0]
    assert "of what has changed since, it knows nothing" in limits
    assert "judged up to 2025-10-01" in limits
    assert "A word that training never saw is scored as unknown: in plan, country." in limits
    assert f"Not judged by themselves, as too few rows have them: plan {PIPES!r}." in limits
    assert "By country no segment was judged." in limits
    assert "Its probabilities are overconfident: measured calibration slope 0.800 (0.700 to 0.900)." in limits
    assert "Its log loss is no better than that of recency rule." in limits
    assert f"Following it loses money in plan {SCRIPT!r}." in limits
    assert "It was released against the gate by dagster run 7: the call centre waits." in limits
    assert "There was too little to decide by for more_profit_than_champion." in limits


def test_only_a_gate_that_has_compared_the_two_is_said_to() -> None:
    manifest, former = manifest_of(), manifest_of(threshold=0.2)
    said = "the gate compares the two on the same ones"
    assert said in card_of(manifest, former, blessing=blessing_of(manifest, gain=0.1)).markdown
    for verdict in (blessing_of(manifest), None):
        markdown = card_of(manifest, former, blessing=verdict).markdown
        assert "Each was measured on its own judging rows." in markdown
        assert said not in markdown


def test_kinds_of_churn_are_shown_apart_where_they_are_told() -> None:
    kinds = {
        "payment_failure": KindQuality(churners=40, auc=0.7123, recall=0.25),
        "voluntary": KindQuality(churners=0, auc=None, recall=None),
    }
    manifest = manifest_of()
    assert isinstance(manifest.evaluation, Evaluation)
    told = msgspec.structs.replace(manifest, evaluation=msgspec.structs.replace(manifest.evaluation, kinds=kinds))
    assert decode_manifest_evaluation(told).kinds == kinds
    page = card_of(told, None).markdown
    assert "| payment failure | 40 | 0.7123 | 0.25 |" in page
    assert "| voluntary | 0 | none | none |" in page
    assert "Kinds of churn" not in card_of(manifest, None).markdown
    assert "kinds" not in encode(manifest).decode()


def decode_manifest_evaluation(manifest: Manifest) -> Evaluation:
    """The evaluation as it comes back from the file."""
    evaluation = msgspec.json.decode(encode(manifest), type=Manifest).evaluation
    assert isinstance(evaluation, Evaluation)
    return evaluation


def test_a_constant_has_no_calibration_slope() -> None:
    measures = {"auc": 0.5, "log_loss": 0.25, "calibration_slope": 5.689e-20}
    beside = {"base_rate": measures, "recency_rule": {**measures, "calibration_slope": 0.93}}
    evaluation = msgspec.structs.replace(cast("Evaluation", manifest_of().evaluation), baselines=beside)
    markdown = card_of(manifest_of(evaluation=evaluation), None).markdown
    [slope] = [line for line in markdown.splitlines() if line.startswith("| calibration slope")]
    assert slope.split(" | ")[-2:] == ["", "0.93 |"]


def test_what_differs_from_the_former_champion_is_listed_and_nothing_else() -> None:
    old = Column(name="plan", kind="category", nullable=True, categories=("", "pro", "free"))
    former = manifest_of(
        family="logistic_regression",
        threshold=0.2,
        signature=Signature((old, Column(name="spend", kind="number"))),
        parameters={"C": 1.0},
        metrics={"auc": 0.79},
    )
    said = re.sub(r"\\(.)", r"\1", card_of(manifest_of(), former).markdown).split("## Differences")[1].split("## Limits")[0]
    rows = [line for line in said.splitlines() if line.startswith("| ")]
    assert f"The former champion is candidate {former.candidate}." in said
    assert "| family | logistic_regression | gradient_boosting | recorded |" in rows
    assert "| threshold | 0.2 | 0.1375 | priced |" in rows
    assert "| parameter C | 1 | none | recorded |" in rows
    assert "| ROC AUC | 0.79 | 0.8123 | measured |" in rows
    assert "| inputs | without visits, country | without spend | recorded |" in rows
    [plan] = [row for row in rows if row.startswith("| input plan |")]
    assert "knew 'free'" in plan
    assert f"knows {SCRIPT!r}" in plan
    assert not [row for row in rows if row.startswith(("| horizon", "| churn is", "| population", "| split"))]
    assert "| nothing | the same | the same |" in card_of(manifest_of(), manifest_of()).markdown


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServingStore:
    """A company whose commands look into ``tmp_path``."""
    (tmp_path / "churn.yaml").write_text("company: test\nhome: .\n")
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    url = f"sqlite:///{tmp_path / 'serving.db'}"
    migrate(url)
    return ServingStore(url, str(tmp_path / "releases"), str(tmp_path / "online"))


def with_facts(candidate: Any) -> Any:
    """A factory's candidate whose manifest says everything."""
    evaluation = msgspec.structs.replace(candidate.manifest.evaluation, importance={"visits": 0.1})
    return msgspec.structs.replace(candidate.manifest, evaluation=evaluation)


def candidates(engine: sa.Engine, files: DigestStore) -> tuple[Any, Any, Manifest]:
    """Two releases one after the other, and a candidate that never served."""
    first, second, third = (train(threshold=threshold) for threshold in (0.4, 0.5, 0.6))
    rows = []
    for candidate in (first, second):
        object.__setattr__(candidate, "manifest", with_facts(candidate))
        rows.append(release(engine, files, candidate))
    waiting = stage(files, third.contents, with_facts(third))
    bless(engine, waiting, "rejected")
    return rows[0], rows[1], waiting


def test_the_command_writes_the_card_of_any_release_or_candidate(company: ServingStore, tmp_path: Path) -> None:
    first, second, waiting = candidates(company.engine, company.files)

    def written(*arguments: str) -> str:
        ran = CliRunner().invoke(card, [*arguments, "--out", str(tmp_path / "cards")], catch_exceptions=False)
        assert ran.exit_code == 0
        page, text = map(Path, ran.output.split())
        assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
        return re.sub(r"\\(.)", r"\1", text.read_text(encoding="utf-8"))

    serving = written()
    assert "| threshold | 0.4 | 0.5 |" in serving, "against the champion before it"
    assert "Verdict: accepted. By gate" in serving
    assert f"| {second.epoch} | " in serving.split("## History")[1]
    assert "There was no champion before." in written(str(first.epoch))
    assert written(second.champion[:10]) == serving
    rejected = written(waiting.candidate[:10])
    assert "Verdict: rejected" in rejected
    assert "It has not served." in rejected
    assert (tmp_path / "cards" / f"model-card-{waiting.candidate[:12]}.html").exists()


def test_wrong_use_is_one_sentence(company: ServingStore) -> None:
    with pytest.raises(InputError, match="no release serves yet"):
        card_named(company, None)
    with pytest.raises(InputError, match="'77' names no model"):
        card_named(company, "77")


def test_the_card_of_a_judged_candidate_is_put_into_its_mlflow_run_and_a_server_that_is_away_is_only_said(
    company: ServingStore, tmp_path: Path
) -> None:
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("cards", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    candidate = train()
    named = msgspec.structs.replace(with_facts(candidate), mlflow={"run_id": run})
    manifest = stage(company.files, candidate.contents, named)
    said = try_to_log_card(client, company, manifest, bless(company.engine, manifest, "rejected"))
    assert said == f"the model card is in MLflow's run {run}"
    assert {file.path for file in client.list_artifacts(run)} == {"model_card.html", "model_card.md"}
    [page] = (tmp_path / "artifacts").rglob("model_card.html")
    assert "Verdict: rejected" in page.read_text(encoding="utf-8")
    gone = msgspec.structs.replace(manifest, mlflow={"run_id": "0" * 32})
    assert try_to_log_card(client, company, gone, blessing_of(gone)).startswith("no model card in MLflow: ")
    assert try_to_log_card(client, company, manifest_of(mlflow={}), blessing_of(manifest)).endswith("has no run")


def test_a_card_tells_the_reasons_and_how_often_each_is_given() -> None:
    plan = ReasonPlan(
        reference={"visits": 3.0, "plan": "pro", "country": "DE"},
        groups=(Group("visits", ("visits",), actionable=True), Group("plan", ("plan",))),
        protected=("country",),
        frequencies={"visits": Frequency(0.25, 0.75, 0.5), "plan": Frequency(0.75, 1.0, 0.125)},
    )
    [table] = [
        part
        for part in document_of(manifest_of(reasons=plan), None, verdict=None).blocks
        if isinstance(part, DocumentTable) and part.head[0] == "reason"
    ]
    assert table.rows == (
        ("plan", "plan", "no", "75.0%", "100.0%", "0.125"),
        ("visits", "visits", "yes", "25.0%", "75.0%", "0.5"),
    )
    assert "Protected attributes are never named." in card_of(manifest_of(reasons=plan), None).markdown
    assert "# Reasons" not in card_of(manifest_of(), None).markdown
