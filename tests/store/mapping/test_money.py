"""Amounts: thousands, currencies, refunds. What a message advises reads the right amount."""

from pathlib import Path
from typing import Any

import pytest

from tests.store.mapping.reading import HEAD, PAYMENTS, as_advised, delivered, payments, refusal

NARROW, WIDE, APOSTROPHE = "\u202f", "\u00a0", "\u2019"


def rows(amounts: list[str], head: str = HEAD) -> str:
    return head + "".join(f'c{n % 7},2024-01-{n % 28 + 1:02},"{amount}"\n' for n, amount in enumerate(amounts))


def amounts_of(delivery: Any) -> list[int]:
    found: list[int] = delivery.rows["amount_cents"].to_list()
    return found


@pytest.mark.parametrize(
    ("written", "changed", "cents"),
    [
        ("1,200.50", {"thousands": ","}, 120_050),
        ("1,200", {"thousands": ","}, 120_000),
        ("12,34,567.00", {"thousands": ","}, 123_456_700),
        ("1.200,50", {"thousands": ".", "decimal": ","}, 120_050),
        ("1.200", {"decimal": ","}, 120_000),
        ("1 200,50", {"thousands": " ", "decimal": ","}, 120_050),
        (f"1{NARROW}200,50", {"thousands": " ", "decimal": ","}, 120_050),
        (f"1{WIDE}200.5", {"thousands": " "}, 120_050),
        ("1'200.50", {"thousands": "'"}, 120_050),
        (f"1{APOSTROPHE}200.50", {"thousands": "'"}, 120_050),
        ("200.50", {"thousands": ","}, 20_050),
    ],
)
def test_thousands_are_read_by_their_mark(tmp_path: Path, written: str, changed: dict[str, Any], cents: int) -> None:
    assert amounts_of(payments(tmp_path, rows([written]), **changed)) == [cents]


def test_a_number_below_one_has_no_thousands(tmp_path: Path) -> None:
    assert "holds '0.125'" in refusal(tmp_path, rows(["0.125", "0,5"]), decimal=",")
    assert "holds '00.500'" in refusal(tmp_path, rows(["00.500"]), decimal=",")


@pytest.mark.parametrize("written", ["1,20", "1,2000", "12,3456.00", ",200", "1,200,", "1 200"])
def test_a_mark_in_another_place_is_no_mark_of_thousands(tmp_path: Path, written: str) -> None:
    assert "expected an amount like 11.77" in refusal(tmp_path, rows([written]), thousands=",")


@pytest.mark.parametrize(
    ("written", "changed", "advised", "cents"),
    [
        (["1,200", "2,201", "999"], {}, '`thousands: ","`', [120_000, 220_100, 99_900]),
        (["1,200.50", "7"], {}, '`thousands: ","`', [120_050, 700]),
        (["11,77", "1.200,50"], {}, '`decimal: ","`', [1177, 120_050]),
        (["1 200,50", "7,5"], {}, '`decimal: ","` and `thousands: " "`', [120_050, 750]),
        (["1'200.50"], {}, """`thousands: "'"`""", [120_050]),
        (["1,200.50"], {"decimal": ","}, '`decimal: "."` and `thousands: ","`', [120_050]),
        (["11.77"], {"decimal": ","}, '`decimal: "."`', [1177]),
        (["0,100", "0,119"], {}, '`decimal: ","`', [10, 12]),
    ],
)
def test_what_a_message_advises_reads_the_amounts(
    tmp_path: Path, written: list[str], changed: dict[str, Any], advised: str, cents: list[int]
) -> None:
    message = refusal(tmp_path, rows(written), **changed)
    assert f"write {advised} in churn.yaml" in message
    assert amounts_of(delivered(tmp_path, "payments", as_advised(message, {**PAYMENTS, **changed}))) == cents


def test_three_decimals_everywhere_are_noted_as_they_may_be_thousands(tmp_path: Path) -> None:
    [note] = payments(tmp_path, rows([f"{n + 1},200" for n in range(30)]), decimal=",").notes
    assert 'write `thousands: ","` and `decimal: "."` in churn.yaml' in note
    assert amounts_of(delivered(tmp_path, "payments", as_advised(note, {**PAYMENTS, "decimal": ","})))[0] == 120_000
    assert payments(tmp_path, rows([f"{n},20" for n in range(30)]), decimal=",").notes == ()


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (["EUR", "USD", "EURO"], "'EUR' 1, 'EURO' 1, 'USD' 1"),
        (["€", "$", "€"], "'€' 2, '$' 1"),
        (["EUR", "anna@mail.example", "EUR"], "'EUR' 2, what looks like an e-mail address 1"),
    ],
)
@pytest.mark.parametrize("column", ["currency", "Currency Code"])
def test_currencies_are_noticed_however_they_and_their_column_are_written(
    tmp_path: Path, words: list[str], counts: str, column: str
) -> None:
    content = f"client,paid_at,total,{column}\n" + "".join(
        f"c{n},2024-01-0{n + 1},1,{word}\n" for n, word in enumerate(words)
    )
    message = refusal(tmp_path, content)
    assert counts in message
    assert "@" not in message
    assert delivered(tmp_path, "payments", as_advised(message.partition(" or ")[0], PAYMENTS)).rows.height > 0


def test_a_column_of_currencies_that_holds_none_shows_nobody(tmp_path: Path) -> None:
    content = "client,paid_at,total,cur: a\n" + "".join(f"c{n},2024-01-0{n + 1},1,u{n}@mail.example\n" for n in range(9))
    message = refusal(tmp_path, content, currency={"column": "cur: a"})
    assert "@" not in message
    assert as_advised(message.partition(" or ")[0], PAYMENTS)["currency"]["column"] == "cur: a"


def test_words_for_a_missing_value_are_named_with_the_setting(tmp_path: Path) -> None:
    columns = {**PAYMENTS["columns"], "list_price": "price"}  # type: ignore[dict-item]
    content = "client,paid_at,total,price\n" + "".join(
        f"c1,2024-01-{n + 1:02},1,{'NULL' if n % 2 else '2.50'}\n" for n in range(20)
    )
    message = refusal(tmp_path, content, columns=columns)
    assert 'write `missing: ["", "NA", "NULL"]` in churn.yaml' in message
    found = delivered(tmp_path, "payments", as_advised(message, {**PAYMENTS, "columns": columns}))
    assert found.rows["list_cents"].null_count() == 10


CURRENCIES = "client,paid_at,total,currency\n" + "".join(
    f"c{n},2024-01-{n + 1:02},{n + 1},{'usd' if n % 5 == 0 else 'EUR'}\n" for n in range(25)
)


@pytest.mark.parametrize("changed", [{}, {"currency": {"column": "currency"}}])
def test_several_currencies_are_refused_with_their_counts_and_the_advice_works(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    message = refusal(tmp_path, CURRENCIES, **changed)
    assert "column currency holds several currencies ('EUR' 20, 'USD' 5)" in message
    kept, _, converted = message.partition(" or ")
    found = delivered(tmp_path, "payments", as_advised(kept, PAYMENTS))
    assert amounts_of(found) == [(n + 1) * 100 for n in range(25) if n % 5]
    assert found.notes == ("5 payments in other currencies than EUR are left out ('EUR' 20, 'USD' 5)",)
    assert delivered(tmp_path, "payments", as_advised(converted, PAYMENTS)).rows.height == 25


def test_one_currency_and_converted_ones_are_read(tmp_path: Path) -> None:
    assert payments(tmp_path, CURRENCIES.replace("usd", "EUR")).rows.height == 25
    assert payments(tmp_path, CURRENCIES, currency={"column": "currency", "is_converted": True}).rows.height == 25
    assert payments(tmp_path, CURRENCIES, currency={"column": "currency", "keep": "usd"}).rows.height == 5


def test_a_chosen_currency_that_no_payment_has_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, CURRENCIES, currency={"column": "currency", "keep": "GBP"})
    assert "no payment is in GBP; column currency holds 'EUR' 20, 'USD' 5" in message


def test_a_column_called_currency_that_holds_none_is_no_currency(tmp_path: Path) -> None:
    assert payments(tmp_path, CURRENCIES.replace("usd", "coins").replace("EUR", "paper money")).rows.height == 25


def test_negative_amounts_are_refunds_however_they_are_written(tmp_path: Path) -> None:
    found = payments(tmp_path, rows(["10", "-2.50", "(3.00)", "4-", "\u22125"]))
    assert found.rows["status"].to_list() == ["settled", *["refunded"] * 4]
    assert amounts_of(found) == [1000, 250, 300, 400, 500]


def test_a_column_of_refunds_splits_a_payment_that_was_refunded_in_part(tmp_path: Path) -> None:
    columns = {**PAYMENTS["columns"], "payment_id": "id", "refunded": "back"}  # type: ignore[dict-item]
    content = "id,client,paid_at,total,back\n1,c1,2024-01-01,10,0\n2,c1,2024-01-02,10,10\n3,c1,2024-01-03,10,2.50\n4,c1,2024-01-04,10,\n"
    found = payments(tmp_path, content, columns=columns).rows.sort("payment_id")
    assert found.select("payment_id", "amount_cents", "status").rows() == [
        ("1", 1000, "settled"), ("2", 1000, "refunded"), ("3", 750, "settled"), ("3:refund", 250, "refunded"), ("4", 1000, "settled"),
    ]  # fmt: skip


@pytest.mark.parametrize(("yes", "no"), [("true", "false"), ("1", "0"), ("Yes", "No")])
def test_a_column_of_yes_and_no_says_which_payments_were_refunded(tmp_path: Path, yes: str, no: str) -> None:
    columns = {**PAYMENTS["columns"], "refunded": "back"}  # type: ignore[dict-item]
    content = f"client,paid_at,total,back\nc1,2024-01-01,10,{no}\nc1,2024-01-02,20,{yes}\n"
    found = payments(tmp_path, content, columns=columns).rows
    assert found.select("amount_cents", "status").rows() == [(1000, "settled"), (2000, "refunded")]


def test_a_column_of_ones_and_zeros_is_noted_as_yes_and_no(tmp_path: Path) -> None:
    columns = {**PAYMENTS["columns"], "refunded": "back"}  # type: ignore[dict-item]
    [note] = payments(
        tmp_path, "client,paid_at,total,back\nc1,2024-01-01,10,0\nc1,2024-01-02,20,1\n", columns=columns
    ).notes
    assert note == "column back holds 0 and 1 alone and is taken for no and yes, not for amounts"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"columns": {"customer_id": "c", "occurred": "o", "amount": "a", "refunded": "a"}},
            "`amount` and `refunded` are one column",
        ),
        ({"values": {"status": {"1": "settled", "1.0": "failed"}}}, "'1' and '1.0', which are one word"),
        ({"missing": ["", "x"], "values": {"status": {"x": "failed"}}}, "'x' is in `missing` and in `values.status`"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    columns = {**PAYMENTS["columns"], "status": "s"}  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=said):
        payments(tmp_path, HEAD, **{"columns": columns, **wrong})


def test_marks_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="`decimal` and `thousands` are both ','"):
        delivered(Path(), "payments", {**PAYMENTS, "decimal": ",", "thousands": ","})
