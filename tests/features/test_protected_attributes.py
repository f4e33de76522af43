"""Which names are those of protected attributes or tell the label, which only look like it, and which values are ages."""

import numpy as np
import polars as pl
import pytest

from churn_assets.features.catalogue import CATALOGUE
from churn_assets.features.protected_attributes import is_protected, label_words, looks_like_age, protected_words

PROTECTED = {
    "age": "age Age customer_age customerAge CustomerAge AGE_GROUP ageGroup agegroup age_years age_in_years ageband current_age age_at_signup "
    "head_of_household_age edad Edad idade leeftijd wiek wiek_klienta Alter Kundenalter Altersgruppe âge eta età eta_cliente senior_citizen "
    "is_senior_citizen isElderly",
    "birth": "birth_date birthDate BIRTHDAY date_of_birth yearOfBirth dob yob birthyear Geburtsdatum geburtsjahr GebDatum fecha_nacimiento "
    "date_naissance data_nascita data_nascimento geboortedatum data_urodzenia rok_urodzenia place_of_birth country_of_birth",
    "sex": "sex SEX customerSex gender Gender gender_code isFemale male geschlecht Geschlecht_Code sexo sexe sesso género genero_cliente "
    "geslacht plec płeć weiblich männlich sexual_orientation lgbtq",
    "family": "marital_status MaritalStatus married Familienstand estado_civil état_civil etat_civil stato_civile burgerlijke_staat "
    "stan_cywilny civil_status family_status divorced is_pregnant pregnancy schwangerschaft embarazada grossesse zwangerschap ciąża",
    "origin": "ethnicity EthnicGroup race racial_group etnia ethnie nationality Nationalität nacionalidad nazionalità nationalité citizenship "
    "CountryOfCitizenship Staatsangehörigkeit staatsbuergerschaft ciudadania cittadinanza obywatelstwo national_origin country_of_origin "
    "native_language nativeLanguage mother_tongue Muttersprache lengua_materna langue_maternelle moedertaal immigrant "
    "immigration_status Migrationshintergrund skin_colour",
    "belief": "religion religious_affiliation Religionszugehörigkeit religión faith Faith church_member Konfession Kirchensteuer glaube geloof "
    "wyznanie creed political_party political_views politische_haltung PoliticalAffiliation party_membership Parteimitgliedschaft "
    "union_member unionMembership trade_union labor_union Gewerkschaft sindicato syndicat vakbond",
    "health": "disability disabled is_disabled Behinderung schwerbehindert discapacidad handicap disabilita deficiência niepełnosprawność "
    "health_status health_condition health Krankheit Gesundheitszustand salud santé blood_type diagnosis medical_history illness "
    "bmi",
    "name": "surname Surname last_name LastName lastname first_name firstName Vorname Nachname nom prénom apellido apellidos cognome sobrenome "
    "achternaam nazwisko title Title customer_title customerTitle salutation Salutation_Code anrede Anrede civilité aanhef honorific "
    "maiden_name full_name titel_kunde",
}  # fmt: skip
"""Names by what they are, in the spellings that are met: snake, camel, glued, with accents and without."""

HARMLESS = (
    "average avg_age_of_orders usage data_usage usageMinutes package package_type page page_views pages_per_visit message messages_30d stage "
    "lifecycle_stage storage storage_gb mileage manager image language subtitle_language app_language languageCode coverage overage overages "
    "percentage voltage engagement account_age accountAge account_age_days age_of_account contract_age device_age_days invoiceAge "
    "vehicle_age agency agent agenda agreement tenure seats plan region city country postcode zip_code "
    "subtitle titles_watched movie_title last_title_watched job_title titleCount entitlement page_title genre movie_genre genres "
    "nombre_commandes nombre_de_pedidos nombre_logins nome_piano plan_name device_name product_name username first_login last_order "
    "first_purchase_amount last_payment name_changes given_discount family_plan family_size_plan credit_union_member "
    "union_square_store health_score account_health device_health battery_health data_health healthcheck_errors "
    "third_party party_size partner_channel single_sign_on invalid_payments valid_from policy policy_count essex sussex "
    "unisex_items sextant maleficent email racecourse trace embrace terrace brace gracefully grace_days sense_of_churchill churchill "
    "faithful_x national_rate international_calls nationwide origin_channel lead_origin eta_minutes delivery_eta "
    "alternative alternate_email altered alternating stan stanza civilization titration legislation imieniny gravity "
    "salutary dobby adobe bobby yobbo migration_count plan_migrations mutual vakantie credit_score balance products "
    "has_card is_active salary tenure_months monthly_charges payment_method contract internet_service paperless_billing streaming_tv"
)  # fmt: skip


@pytest.mark.parametrize("kind", PROTECTED)
def test_a_protected_attribute_is_known_by_its_name_in_the_large_languages(kind: str) -> None:
    assert [name for name in PROTECTED[kind].split() if not is_protected(name)] == []


def test_a_name_that_only_looks_like_a_protected_one_is_not() -> None:
    assert {name: protected_words(name) for name in HARMLESS.split() if is_protected(name)} == {}


def test_no_feature_of_the_catalogue_has_such_a_name() -> None:
    assert [feature.name for feature in CATALOGUE if is_protected(feature.name) or label_words(feature.name)] == []


def test_the_columns_name_counts_too_and_further_words_are_the_companys() -> None:
    assert protected_words("segment", "Familienstand") == ["familienstand"]
    assert not is_protected("postcode")
    assert protected_words("postcode", more=["Postcode*"]) == ["postcode"]


TELLING = (
    "exited Exited has_exited exit_flag exitFlag exit_date days_to_exit DaysToExit days_until_exit days_before_exit exit_reason churn churned "
    "churn_score ChurnLabel is_churn churn_probability customer_churned cancelled is_cancelled cancelled_flag cancelled_at cancel_reason "
    "cancellation_date days_to_cancellation canceled cancelStatus attrition attrition_flag Attrition left has_left is_left customer_left left_company "
    "left_date leaving_reason leave_date terminated termination_date TerminationReason account_closed closed quit gekündigt kuendigungsgrund "
    "Kündigungsdatum abgewandert defected contract_ended days_since_departure"
)  # fmt: skip

NOT_TELLING = (
    "days_left seats_left credits_left value_left left_hand minutes_left_over cancelled_orders order_cancellations_30d cancel_clicks exit_page exit_rate "
    "exit_page_views tickets_closed closed_tickets ticket_closed_at weekend_logins extended_warranty existing_loans excitement leaves_review "
    "leaflet terminal_count terminals determined_score quite_hours until_renewal_days days_to_renewal enclosure disclosure_read"
)  # fmt: skip


def test_words_for_the_outcome_tell_the_label() -> None:
    assert [name for name in TELLING.split() if not label_words(name)] == []
    assert {name: label_words(name) for name in NOT_TELLING.split() if label_words(name)} == {}


def ages(count: int = 2_000, *, low: int = 18, high: int = 92, mean: float = 39, spread: float = 11) -> pl.Series:
    random = np.random.default_rng(3)
    return pl.Series("x", np.clip(random.normal(mean, spread, count), low, high).round())


@pytest.mark.parametrize(
    "values",
    [
        ages(),
        ages().cast(pl.Int64).cast(pl.String),
        pl.concat([ages(), pl.Series("x", [None] * 500, dtype=pl.Float64)]),
        2026 - ages(),
        pl.Series("x", np.random.default_rng(1).integers(18, 80, 400)),
    ],
    ids=["whole numbers", "texts", "some missing", "years of birth", "equally frequent"],
)
def test_values_that_are_distributed_like_ages_are_seen(values: pl.Series) -> None:
    assert looks_like_age(values)


RANDOM = np.random.default_rng(2)


@pytest.mark.parametrize(
    "values",
    [
        pl.Series("tenure in months", RANDOM.integers(0, 72, 2_000)),
        pl.Series("score", RANDOM.integers(350, 850, 2_000)),
        pl.Series("percent", RANDOM.integers(0, 100, 2_000)),
        pl.Series("charges", RANDOM.normal(40, 12, 2_000).clip(18, 90)),
        pl.Series("a bundle of few sizes", RANDOM.choice([20, 30, 50, 80], 2_000)),
        pl.Series("most of one value", np.where(RANDOM.random(2_000) < 0.5, 30, RANDOM.integers(18, 80, 2_000))),
        pl.Series("year of sign-up", RANDOM.integers(2005, 2025, 2_000)),
        pl.Series("words", ["basic", "pro"] * 500),
        pl.Series("nothing", [None] * 500, dtype=pl.Float64),
        ages(20),
    ],
    ids=lambda values: values.name or "few",
)
def test_values_of_other_kinds_are_not_taken_for_ages(values: pl.Series) -> None:
    assert not looks_like_age(values)
