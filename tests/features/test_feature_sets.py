"""Feature sets: only what a company's tables allow, the sets that churn.yaml names, and nothing that no model may see."""

import narwhals as nw
import polars as pl
import pytest
from pydantic import ValidationError

from churn_assets.build import build_defs
from churn_assets.connectors.open_source import open_source
from churn_assets.features.catalogue import CLASSIC
from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import company_features, features_in_use, features_of
from churn_assets.features.protected_attributes import refuse_forbidden, words
from churn_assets.features.snapshot import features_of_table
from churn_assets.settings.company import Settings
from churn_assets.settings.features import Features
from churn_assets.training.contracts import training_contract
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import Table
from churn_store.model.signature import Column
from tests.features.company import ATTRIBUTES, FEATURES, GIVEN, SCREENS, TABLES, TYPES, features, small


def test_numbers_come_before_categories_in_a_fixed_order() -> None:
    features = features_of(TABLES, ATTRIBUTES, has_time=True)
    kinds = [feature.kind for feature in features]
    assert kinds == sorted(kinds, reverse=True)
    assert [f.name for f in features] == [f.name for f in features_of(TABLES, ATTRIBUTES, has_time=True)]


@pytest.mark.parametrize(
    ("tables", "has_time", "expected_tables"),
    [
        (TABLES, True, {"customers", "events", "payments"}),
        (("customers", "payments"), True, {"customers", "payments"}),
        (["customers"], False, {"customers"}),
    ],
)
def test_only_features_of_tables_that_are_there_exist(
    tables: tuple[Table, ...], has_time: bool, expected_tables: set[str]
) -> None:
    features = features_of(tables, ATTRIBUTES, has_time=has_time)
    assert {feature.table for feature in features} == expected_tables
    if not has_time:
        assert [feature.name for feature in features] == ["seats", "plan"]


def test_features_of_a_plan_exist_only_where_there_is_one() -> None:
    with_plan = {feature.name for feature in features_of(TABLES, ATTRIBUTES, has_time=True)}
    without = {feature.name for feature in features_of(TABLES, (), has_time=True)}
    assert with_plan - without == {
        "is_pro_plan",
        "is_paid_plan",
        "record_changes_180d",
        "days_since_record_change",
        "plan",
        "seats",
    }


def test_a_plan_that_is_a_number_is_a_feature_and_has_none_made_of_its_words() -> None:
    number = features_of(TABLES, (Column(name="plan", kind="number"),), has_time=True)
    names = {feature.name for feature in number}
    assert {"plan", "record_changes_180d"} <= names
    assert not {"is_pro_plan", "is_paid_plan"} & names
    company = small(events=[("c", "session", 5, 0)])
    numbered = {**company, "customers": company["customers"].drop("seats").with_columns(plan=pl.lit(3.0))}
    assert features(numbered, number)["plan"].to_list() == [3.0]


def test_an_attribute_takes_the_place_of_a_feature_of_its_name() -> None:
    own = Column(name="days_since_signup", kind="number", low=0)
    [feature] = [f for f in features_of(TABLES, (own,), has_time=True) if f.name == "days_since_signup"]
    assert feature.description == own.description


def test_what_is_excluded_is_no_feature() -> None:
    excluded = ("plan", "sessions_30d")
    names = {feature.name for feature in features_of(TABLES, ATTRIBUTES, has_time=True, choice=Features(exclude=excluded))}
    everything = {feature.name for feature in features_of(TABLES, ATTRIBUTES, has_time=True)}
    assert everything - names == set(excluded)


@pytest.mark.parametrize(
    ("attributes", "exclude", "said"),
    [
        (
            ATTRIBUTES,
            ("gender",),
            "features.exclude names gender, which is no feature here; expected some of active_days_30d",
        ),
        (ATTRIBUTES, ("plan", "seats"), "no feature is left for a model"),
        ((), (), "no feature is left for a model; add `attributes` to source.customers"),
    ],
)
def test_a_choice_of_features_that_can_not_be_is_refused_in_one_line(
    attributes: tuple[Column, ...], exclude: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError) as error:
        features_of(
            ["customers"] if said.startswith("no") else TABLES,
            attributes,
            has_time=said[0] == "f",
            choice=Features(exclude=exclude),
        )
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_attribute_with_the_name_of_an_aggregate_is_refused() -> None:
    own = Column(name="events_in_30d", kind="number")
    with pytest.raises(InputError, match="events_in_30d, a name that the catalogue of features uses"):
        features_of(TABLES, (own,), has_time=True)


def test_data_without_time_keeps_its_attributes_as_they_are() -> None:
    customers = pl.DataFrame(
        {"customer_id": ["b", "a"], "plan": [None, "pro"], "seats": [2.5, None], "churned": [True, False]}
    )
    frame = features_of_table(customers, features_of(["customers"], ATTRIBUTES, has_time=False))
    assert frame.columns == ["customer_id", "seats", "plan"]
    assert frame.rows() == [("a", None, "pro"), ("b", 2.5, None)]


def test_features_of_columns_that_a_source_may_lack_exist_only_where_it_gives_them() -> None:
    with_them = {feature.name for feature in features_of(TABLES, ATTRIBUTES, has_time=True, given=GIVEN)}
    without = {feature.name for feature in features_of(TABLES, ATTRIBUTES, has_time=True)}
    only_due = {feature.name for feature in features_of(TABLES, ATTRIBUTES, has_time=True, given={"payments": ["due_s"]})}
    assert with_them - without == {"late_share_180d", "paid_of_list_180d"}
    assert with_them - only_due == {"paid_of_list_180d"}


def test_a_feature_of_two_tables_exists_only_where_both_are_there() -> None:
    both = {feature.name for feature in features_of(TABLES, (), has_time=True)}
    assert {"problems_90d", "days_since_last_problem"} <= both
    for tables in (("customers", "payments"), ("customers", "events")):
        assert not {"problems_90d", "days_since_last_problem"} & {f.name for f in features_of(tables, (), has_time=True)}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Features(), [feature.name for feature in FEATURES]),
        (Features(use="classic"), CLASSIC),
        (Features(use="mine", sets={"mine": ("plan", "sessions_30d"), "other": ("seats",)}), ["sessions_30d", "plan"]),
        (Features(use="mine", sets={"mine": ("plan", "seats")}, exclude=("plan",)), ["seats"]),
    ],
    ids=["all", "classic", "a named one", "less what is excluded"],
)
def test_models_see_the_set_in_use(choice: Features, expected: list[str]) -> None:
    features = features_of(TABLES, ATTRIBUTES, has_time=True, given=GIVEN, types=TYPES, value=SCREENS, choice=choice)
    used = features_in_use(features, choice)
    assert {feature.name for feature in used} == set(expected)
    assert [f for f in features if f in used] == list(used)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Features(use="mine"), "features.use is 'mine', which is no set; expected one of all, classic"),
        (Features(use="mine", sets={"mine": ()}), "features.use is 'mine', a set without any feature of this company"),
        (
            Features(sets={"mine": ("sesions_30d",)}),
            "features.sets.mine names sesions_30d, which is no feature here; expected some of active_days_30d",
        ),
        (Features(sets={"all": ("plan",)}), "features.sets has all, the name of a built-in set"),
    ],
    ids=["unknown set", "empty set", "unknown feature, though the set is not in use", "a built-in name"],
)
def test_a_set_that_can_not_be_is_refused_in_one_sentence(choice: Features, said: str) -> None:
    with pytest.raises(InputError) as error:
        features_in_use(features_of(TABLES, ATTRIBUTES, has_time=True, given=GIVEN), choice)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("is_female", {"is", "female"}),
        ("Marital-Status 2", {"marital", "status"}),
        ("maritalStatus", {"marital", "status"}),
        ("GENDER", {"gender"}),
        ("trace_of_essex", {"trace", "of", "essex"}),
        ("Größe", {"größe"}),
        ("ISFemale", {"is", "female"}),
        ("GENDERCode", {"gender", "code"}),
        ("CustomerSEX", {"customer", "sex"}),
    ],
)
def test_a_name_has_words(name: str, expected: set[str]) -> None:
    assert words(name) == expected


@pytest.mark.parametrize(
    ("name", "column", "said"),
    [
        ("gender", "gender", "the feature gender has the protected word gender, and no model may see"),
        ("segment", "Marital Status", r"the feature segment \(read from Marital Status\) has the protected word marital"),
        ("churn_score", "churn_score", "churn_score has the word churn: it tells the label"),
        ("churnedat", "churnedat", "churnedat has the word churnedat: it tells the label"),
        ("cancelled_at", "cancelled_at", "cancelled_at has the word cancelled: it tells the label, or what follows it"),
        ("reason", "TerminationReason", "has the word termination: it tells the label"),
    ],
)
def test_what_no_model_may_see_is_no_feature(name: str, column: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        refuse_forbidden(name, column, ())
    attribute = Column(name=name, kind="category")
    with pytest.raises(InputError, match=said):
        features_of(["customers"], (attribute, *ATTRIBUTES), has_time=False, columns={name: column})
    excluded = features_of(
        ["customers"], (attribute, *ATTRIBUTES), has_time=False, columns={name: column}, choice=Features(exclude=(name,))
    )
    assert [feature.name for feature in excluded] == ["seats", "plan"]


@pytest.mark.parametrize(
    "name",
    [
        "birthdate", "birthday", "date_of_birth", "dateofbirth", "dob", "DOB", "married", "maritalstatus", "MaritalStatus", "isfemale",
        "ISFemale", "male", "Males", "gender", "genders", "GENDERCode", "usergender", "GenderID", "sex", "sexes", "SEX", "sexual_orientation",
        "sexuality", "pregnant", "pregnancies", "ethnicity", "ethnic_group", "race", "races", "racial_group", "religion", "religious",
        "nationality", "nationalities", "disability", "disabled",
    ],
)  # fmt: skip
def test_a_protected_word_is_known_in_every_form(name: str) -> None:
    with pytest.raises(InputError, match="has the protected word"):
        refuse_forbidden(name, name, ())
    with pytest.raises(InputError, match="has the protected word"):
        refuse_forbidden("segment", name, ())


@pytest.mark.parametrize(
    "name",
    [
        "cancelled_orders", "days_left", "racecourse", "stage", "middlesex_branch", "date_joined", "embrace", "trace", "decide",
        "sussex_office", "essex", "email", "maleficent", "sextant", "unisex_items", "terrace", "national_rate", "usage", "ISOCode",
    ],
)  # fmt: skip
def test_a_name_that_only_looks_like_it_is_a_feature(name: str) -> None:
    refuse_forbidden(name, name, ())


@pytest.mark.parametrize(
    ("protected", "refused", "allowed"),
    [
        ("age", "Age", "usage"),
        ("Age", "customer_ages", "agency"),
        ("AGE*", "agegroup", "usage"),
        ("credit_score", "CreditScore", "credit"),
        ("creditScore", "score_of_credit", "score"),
    ],
)
def test_a_company_protects_further_words_in_whatever_case_and_the_built_in_ones_stay(
    protected: str, refused: str, allowed: str
) -> None:
    choice = Features.model_validate({"protected": [protected]})
    for name in (refused, "gender"):
        with pytest.raises(InputError, match="has the protected word"):
            features_of(["customers"], (Column(name=name, kind="category"),), has_time=False, choice=choice)
    assert features_of(["customers"], (Column(name=allowed, kind="category"),), has_time=False, choice=choice)


@pytest.mark.parametrize("nothing", ["", "*", "12"])
def test_a_protected_word_without_a_letter_is_refused(nothing: str) -> None:
    with pytest.raises(ValidationError, match="protected"):
        Features.model_validate({"protected": [nothing]})


def company(choice: Features, column: str = "gender", name: str = "segment") -> Settings:
    customers = {
        "path": "c.csv",
        "columns": {"customer_id": "id"},
        "label": {"column": "left"},
        "attributes": {name: {"column": column, "kind": "category"}, "seats": {"column": "seats", "kind": "number"}},
    }
    source = FilesSettings.model_validate({"kind": "files", "shape": "table", "customers": customers})
    return Settings(source=source, features=choice)


def test_the_definitions_do_not_load_with_a_protected_attribute_and_do_where_it_is_excluded() -> None:
    with pytest.raises(InputError, match=r"the feature segment \(read from gender\) has the protected word gender"):
        build_defs(company(Features()))
    assert build_defs(company(Features(exclude=("segment",)))).assets


def test_an_attribute_that_is_read_from_the_label_is_refused() -> None:
    settings = company(Features(), column="left")
    with pytest.raises(InputError, match="has segment, read from left, which is the label itself"):
        company_features(open_source(settings), settings.source, settings.features, settings.events.types)


@pytest.mark.parametrize(("name", "protected"), [("gender", ()), ("age", ("Age",))])
def test_the_contract_of_the_training_set_refuses_what_no_model_may_see_however_it_got_there(
    name: str, protected: tuple[str, ...]
) -> None:
    feature = Feature(name, "of a customer", "customers", None, "", "attribute", nw.col(name), kind="category")
    with pytest.raises(InputError, match=f"protected word {name}"):
        training_contract([feature], has_time=False, protected=protected)
