"""Ends of lines and of files, and what stands before the header: read, or one sentence that names the line."""

import gzip
from pathlib import Path

import pytest

from churn_store.errors import InputError
from tests.store.mapping.reading import HEAD, PAYMENTS, as_advised, delivered, payments, refusal

ROWS = "".join(f"c{n},2024-0{n % 6 + 1}-1{n % 9},{n}.50\n" for n in range(60))


def test_a_last_field_may_be_quoted_and_hold_a_line_break(tmp_path: Path) -> None:
    content = "client,paid_at,total,note\n" + ROWS.replace("0\n", "0,ok\n") + 'c1,2024-05-01,7.00,"first\nsecond"'
    found = payments(tmp_path, content)
    assert (found.rows.height, found.unreadable.height) == (61, 0)
    assert 700 in found.rows["amount_cents"].to_list()


@pytest.mark.parametrize(
    ("end", "said"),
    [("c1,2024-05", "its last line has 2 of 3 fields"), ('c1,2024-05-01,"7', "a quote without an end")],
)
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, end: str, said: str) -> None:
    message = refusal(tmp_path, HEAD + ROWS + end)
    assert "p.csv ends in the middle of a line" in message
    assert said in message


@pytest.mark.parametrize(
    "before",
    [
        "sep=;\n",
        '"sep=;"\r\n',
        "\ufeffsep=;\n",
        "# made by billing, 2024\n# two lines\n",
        "-- export\n\n",
        "\n;;\n",
        "\ufeff",
    ],
)
def test_what_stands_before_a_header_is_skipped(tmp_path: Path, before: str) -> None:
    semicolons = (HEAD + ROWS).replace(",", ";")
    found = payments(tmp_path, before + semicolons, **({} if "sep" in before else {"separator": ";"}))
    assert found.rows.height == 60
    assert found.rows["amount_cents"].sum() == sum(n * 100 + 50 for n in range(60))


def test_a_line_of_the_file_is_counted_from_its_beginning(tmp_path: Path) -> None:
    found = payments(tmp_path, "# made by billing\n\n" + HEAD + ROWS + "c1,2024-05-01,1,200.50\n")
    assert found.unreadable["value"].to_list() == ["line 64: 4 fields"]


def test_two_separators_are_a_contradiction(tmp_path: Path) -> None:
    message = refusal(tmp_path, "sep=;\n" + HEAD + ROWS, separator=",")
    assert "';' separates its fields; expected ',', as churn.yaml says. Take `separator` out of churn.yaml" in message


def test_a_header_may_begin_with_a_hash(tmp_path: Path) -> None:
    columns = {**PAYMENTS["columns"], "customer_id": "#client"}  # type: ignore[dict-item]
    assert payments(tmp_path, "#" + HEAD + ROWS, columns=columns).rows.height == 60


def test_a_header_further_down_is_named_and_the_advice_works(tmp_path: Path) -> None:
    message = refusal(tmp_path, "Payments of 2024\nby billing\n\n" + HEAD + ROWS)
    assert "Its header seems to be line 4: write `skip_lines: 3` in churn.yaml" in message
    assert delivered(tmp_path, "payments", as_advised(message, PAYMENTS)).rows.height == 60


def test_lines_without_content_are_skipped_and_counted(tmp_path: Path) -> None:
    found = payments(tmp_path, HEAD + ",,\n" + ROWS + "\n\r\n,,\n")
    assert (found.rows.height, found.unreadable.height) == (60, 0)
    assert found.notes == ("4 lines without any content were skipped",)


@pytest.mark.parametrize("bad", ['c1,2024-05-01,"7\n', 'c1,20"24-05-01,7\n', 'c1,2024-05-01,5" disk\n'])
def test_a_quote_that_would_swallow_the_next_lines_costs_its_own_line_alone(tmp_path: Path, bad: str) -> None:
    found = payments(tmp_path, HEAD + ROWS + bad + ROWS.replace("c1,", '"c,1",'))
    assert found.rows.height == 120
    assert found.unreadable["value"].to_list() == ["line 62: a quote without an end"]


@pytest.mark.parametrize(
    ("first", "second"), [('c1,2024-05-01,"7\n', 'c2,2024-05-02,"8\n'), ('"c1,2024-05-01,7\n', 'c2,2024-05-02,"8\n')]
)
def test_two_quotes_without_an_end_do_not_swallow_what_lies_between_them(tmp_path: Path, first: str, second: str) -> None:
    found = payments(tmp_path, HEAD + ROWS + first + ROWS + second + ROWS)
    assert found.rows.height == 180
    assert found.unreadable["value"].sort().to_list() == [
        "line 123: a quote without an end",
        "line 62: a quote without an end",
    ]


def test_a_cr_within_a_line_ends_none(tmp_path: Path) -> None:
    head = HEAD.replace("\n", ",note\n")
    found = payments(tmp_path, head + ROWS.replace("0\n", "0,a\rb\n") + 'c1,2024-05-01,7,"x\ny"\nc1,2024-05-02,"8,z\n')
    assert (found.rows.height, found.notes) == (61, ())
    assert found.unreadable["value"].to_list() == ["line 64: a quote without an end"]


def test_a_damaged_archive_is_one_sentence(tmp_path: Path) -> None:
    content = bytearray(gzip.compress((HEAD + ROWS * 50).encode()))
    content[60:80] = bytes(20)
    (tmp_path / "p.csv.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"p.csv.gz can't be read"):
        delivered(tmp_path, "payments", {**PAYMENTS, "path": "p.csv.gz"})


def test_tabs_are_advised_in_quotes_that_yaml_understands(tmp_path: Path) -> None:
    message = refusal(tmp_path, (HEAD + ROWS).replace(",", "\t"))
    assert r'write `separator: "\t"` in churn.yaml' in message
    assert delivered(tmp_path, "payments", as_advised(message, PAYMENTS)).rows.height == 60


@pytest.mark.parametrize("written", ["\t", r"\t", "tab"])
def test_a_tab_may_be_written_in_any_quotes(tmp_path: Path, written: str) -> None:
    assert payments(tmp_path, (HEAD + ROWS).replace(",", "\t"), separator=written).rows.height == 60


def test_a_header_in_another_encoding_is_told_as_such_and_the_advice_works(tmp_path: Path) -> None:
    columns = {**PAYMENTS["columns"], "amount": "Betrag (€)"}  # type: ignore[dict-item]
    content = (HEAD.replace("total", "Betrag (€)") + ROWS).encode("windows-1252")
    message = refusal(tmp_path, content, columns=columns)
    assert "p.csv is not encoded in UTF-8 (line 1)" in message
    assert delivered(tmp_path, "payments", as_advised(message, {**PAYMENTS, "columns": columns})).rows.height == 60
