"""Code versions follow the source of the stages that they name."""

from churn_assets.orchestration.code_version import PACKAGE, SHARED, code_version


def test_stages_have_versions_of_their_own_whatever_their_order() -> None:
    assert code_version("raw") == code_version("raw") != code_version("features")
    assert code_version("raw", "features") == code_version("features", "raw") != code_version("raw")


def test_what_all_stages_share_is_there() -> None:
    assert all((PACKAGE / shared).is_file() for shared in SHARED)
