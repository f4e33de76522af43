"""Addresses as they are printed: no password, however it is written."""

import pytest

from churn_store.database.migrate import require_migrated
from churn_store.database.schema import connect
from churn_store.errors import DatabaseAwayError, InputError
from churn_store.redaction import without_password
from churn_store.storage.object_storage import in_object_store, open_store

SHOWN = {
    "postgresql://u:geheim@h:5/db": "postgresql://h:5/db",
    "postgresql://h/db?password=geheim": "postgresql://h/db",
    "postgresql://h/db?user=x&sslpassword=geheim&host=/run": "postgresql://h/db",
    "postgresql+psycopg://u:ge?heim@h/db": "postgresql+psycopg://h/db",
    "postgresql://u:ge#heim@h/db": "postgresql://h/db",
    "postgresql://u:ge/heim@h/db": "postgresql://h/db",
    "postgresql://u:ge@heim@h/db": "postgresql://h/db",
    "postgresql://u%3Ageheim%40h/db": "postgresql://h/db",
    "postgresql://h/db%3Fpassword%3Dgeheim": "postgresql://h/db%3Fpassword%3D***",
    "postgresql:/u:geheim@h/db": "postgresql:/h/db",
    "host=h password=geheim dbname=d": "host=h password=*** dbname=d",
    "host=h sslpassword = 'ge heim' dbname=d": "host=h sslpassword = *** dbname=d",
    "redis://:geheim@h:6379/0": "redis://h:6379/0",
    "unix:///tmp/r.sock?password=geheim&db=0": "unix:///tmp/r.sock",
    "s3://AKIA:geheim@bucket/prefix": "s3://bucket/prefix",
    "s3://bucket/prefix?aws_secret_access_key=geheim": "s3://bucket/prefix",
    "https://h/p;password=geheim": "https://h/p;password=***",
    "http://[::1/x?password=geheim": "http://[::1/x",
    "sqlite:////a b/c#d/e@f/serving.db": "sqlite:////a b/c#d/e@f/serving.db",
    "/a?b#c@d/lake": "/a?b#c@d/lake",
    "https://h:5000": "https://h:5000",
}


@pytest.mark.parametrize(("url", "shown"), SHOWN.items())
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:geheim@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?password=geheim",
        "postgresql://127.0.0.1:1/db?user=u&password=geheim&sslpassword=geheim",
    ],
)
def test_a_database_that_does_not_answer_is_named_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseAwayError, match=r"postgresql\+psycopg://127\.0\.0\.1:1/db does not answer") as refused:
        require_migrated(connect(url))
    assert "geheim" not in str(refused.value)


def test_an_object_store_is_named_without_its_keys() -> None:
    for refuses in (
        lambda: in_object_store("s3:/AKIA:geheim@bucket/x"),
        lambda: open_store("nowhere://AKIA:geheim@bucket/x?secret=geheim"),
    ):
        with pytest.raises(InputError) as refused:
            refuses()
        assert "geheim" not in str(refused.value)
