"""Roles: no label window of an earlier role reaches into a later one; without time, a customer's role is for ever."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_assets.settings.training import Training
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.split import roles_by_customer, roles_by_time, split_in_words
from churn_assets.training.training_set import MOST_WORDS, check_enough, joined, signature_of, snapshots
from churn_store.errors import InputError
from churn_store.model.signature import MISSING_CATEGORY
from tests.features.company import FEATURES

MONTHS = [date(2024 + i // 12, i % 12 + 1, 1) for i in range(24)]
MONTH = timedelta(days=30)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.dates(date(2024, 1, 1), date(2025, 12, 31)), min_size=1, max_size=40, unique=True),
    st.integers(1, 90),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 8),
)
def test_no_label_window_reaches_into_a_later_role(
    mature: list[date], horizon_days: int, judging: int, selecting: int, training: int
) -> None:
    rule = Training(judging_snapshots=judging, selecting_snapshots=selecting, training_snapshots=training)
    horizon = timedelta(days=horizon_days)
    try:
        roles = roles_by_time(mature, horizon=horizon, training=rule)
    except InputError:
        return
    assert max(roles.train) + horizon <= min(roles.select)
    assert max(roles.select) + horizon <= min(roles.judge)
    assert roles.judge == tuple(sorted(mature)[-judging:])
    assert len(roles.select) == selecting
    assert 1 <= len(roles.train) <= training
    for snapshot in mature:
        named: list[str | None] = [name for name in (TRAIN, SELECT, JUDGE) if snapshot in getattr(roles, name)]
        assert [roles.of(snapshot)] == (named or [None])


def test_the_newest_snapshots_judge_and_a_gap_of_one_horizon_is_left_out() -> None:
    roles = roles_by_time(MONTHS[::-1], horizon=timedelta(days=45), training=Training(training_snapshots=3))
    assert roles.judge == (date(2025, 11, 1), date(2025, 12, 1))
    assert roles.select == (date(2025, 9, 1),)
    assert roles.train == (date(2025, 5, 1), date(2025, 6, 1), date(2025, 7, 1))
    assert roles.of(date(2025, 10, 1)) is None


@pytest.mark.parametrize(
    ("mature", "said"),
    [
        ([], "0 snapshots have mature labels; training needs"),
        (MONTHS[:1], "1 snapshots have mature labels (2024-01-01 to 2024-01-01)"),
        (MONTHS[:3], "at least one more than 2 for judging and 1 for selecting, with 30 days of labels between them"),
        (MONTHS[:4], "4 snapshots have mature labels (2024-01-01 to 2024-04-01)"),
        (MONTHS[3:7], None),
    ],
)
def test_too_few_snapshots_are_refused_in_a_sentence(mature: list[date], said: str | None) -> None:
    if said is None:
        assert roles_by_time(mature, horizon=MONTH, training=Training()).train == (MONTHS[3],)
        return
    with pytest.raises(InputError) as error:
        roles_by_time(mature, horizon=MONTH, training=Training())
    assert said in str(error.value)
    assert "Ingest more periods" in str(error.value)


CUSTOMERS = pl.DataFrame({"customer_id": [f"c{i:05}" for i in range(6_000)], "churned": [i % 4 == 0 for i in range(6_000)]})


def roles_of(labels: pl.DataFrame, training: Training | None = None) -> dict[str, str]:
    return dict(zip(labels["customer_id"], roles_by_customer(labels, training or Training()), strict=True))


def test_without_time_roles_and_churn_are_shared_out_as_asked() -> None:
    rows = CUSTOMERS.with_columns(role=roles_by_customer(CUSTOMERS, Training(held_out_share=0.3)))
    shares = {role: part.height / rows.height for (role,), part in rows.group_by("role")}
    assert shares == pytest.approx({TRAIN: 0.55, SELECT: 0.15, JUDGE: 0.3}, abs=0.02)
    for (_,), part in rows.group_by("role"):
        assert part["churned"].mean() == pytest.approx(0.25, abs=0.04)


def test_a_customer_keeps_the_role_whatever_the_order_and_whoever_else_comes_or_goes() -> None:
    whole = roles_of(CUSTOMERS)
    assert roles_of(CUSTOMERS.reverse()) == whole
    some = roles_of(CUSTOMERS.sample(500, seed=1))
    assert some == {customer: whole[customer] for customer in some}
    changed = CUSTOMERS.with_columns(churned=~pl.col("churned"))
    assert roles_of(changed) == whole


def test_another_seed_is_another_split() -> None:
    assert roles_of(CUSTOMERS, Training(seed=7)) != roles_of(CUSTOMERS)


def test_a_split_by_customer_says_what_decided_it_and_only_if_that_is_so() -> None:
    rule = Training(seed=7)
    labels = pl.DataFrame({"customer_id": [f"c{i}" for i in range(300)]})
    split = labels.with_columns(role=roles_by_customer(labels, rule))
    assert split_in_words(split, rule) == "by customer: seed 7, held out 0.3"
    assert split_in_words(split.with_columns(snapshot_s=pl.lit(0)), rule) == "by time"
    for other in (Training(seed=8), Training(seed=7, held_out_share=0.2)):
        with pytest.raises(InputError, match="materialize training_set first"):
            split_in_words(split, other)


def rows(counts: dict[str, tuple[int, int]]) -> pl.DataFrame:
    """Rows by role: how many, and how many of them churned."""
    return pl.DataFrame(
        [{"role": role, "churned": i < churners} for role, (number, churners) in counts.items() for i in range(number)],
        schema={"role": pl.String, "churned": pl.Boolean},
    )


ENOUGH = {TRAIN: (200, 9), SELECT: (100, 9), JUDGE: (200, 9)}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({TRAIN: (199, 9)}, "199 rows have the role 'train'; expected at least 200"),
        ({SELECT: (99, 9)}, "99 rows have the role 'select'; expected at least 100"),
        ({JUDGE: (0, 0)}, "0 rows have the role 'judge'; expected at least 200"),
        ({TRAIN: (200, 200)}, "all 200 rows with the role 'train' churned; expected both"),
        ({JUDGE: (200, 0)}, "all 200 rows with the role 'judge' stayed; expected both"),
    ],
)
def test_a_training_set_that_nothing_can_be_learned_from_is_refused(
    changed: dict[str, tuple[int, int]], said: str | None
) -> None:
    frame = rows({**ENOUGH, **changed})
    if said is None:
        check_enough(frame, Training())
        return
    with pytest.raises(InputError) as error:
        check_enough(frame, Training())
    assert said in str(error.value)


def test_only_rows_with_a_label_are_joined_each_once() -> None:
    features = pl.DataFrame({"customer_id": ["b", "a", "a"], "snapshot_s": [1, 2, 1], "x": [1.0, 2.0, 3.0]})
    labels = pl.DataFrame({"customer_id": ["a", "a", "z"], "snapshot_s": [2, 1, 1], "churned": [True, False, True]})
    assert joined(features, labels).rows() == [("a", 1, 3.0, False), ("a", 2, 2.0, True)]
    without_time = joined(features.head(2).drop("snapshot_s"), pl.DataFrame({"customer_id": ["a"], "churned": [True]}))
    assert without_time.rows() == [("a", 2.0, True)]


def test_a_signature_knows_the_words_of_its_training_rows_and_the_missing_one() -> None:
    signature = signature_of(FEATURES, pl.DataFrame({"plan": ["pro", None, "free", "pro"]}))
    assert signature.columns[-1].name == "plan"
    assert signature.columns[-1].categories == (MISSING_CATEGORY, "free", "pro")
    assert signature.names == tuple(feature.name for feature in FEATURES)


def test_a_category_of_more_words_than_a_model_can_hold_is_refused_with_the_way_out() -> None:
    words = [f"w{place}" for place in range(MOST_WORDS)]
    assert len(signature_of(FEATURES, pl.DataFrame({"plan": [*words, None]})).columns[-1].categories) == MOST_WORDS + 1
    with pytest.raises(InputError) as error:
        signature_of(FEATURES, pl.DataFrame({"plan": [*words, "one more"]}))
    assert str(error.value) == (
        "plan holds 1,001 words in the training rows; expected at most 1,000, as each is an input of its own. Name plan in "
        "features.exclude, or give it fewer words"
    )


def test_snapshots_are_named_by_their_days() -> None:
    assert snapshots(pl.DataFrame({"snapshot_s": [86_400, 0, 86_400]})) == ["1970-01-01", "1970-01-02"]
    assert snapshots(pl.DataFrame({"x": [1]})) == []
