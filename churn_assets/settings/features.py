"""The section ``features`` of ``churn.yaml``: which features models see."""

from datetime import date

from pydantic import Field, field_validator

from churn_store.settings import Section


class Features(Section):
    """Which features a model sees."""

    first_snapshot: date | None = Field(None, description="default: the first period whose windows lie inside the data")
    sets: dict[str, tuple[str, ...]] = Field({}, description="names of features by the name of the set")
    use: str = Field("all", description="the set that models see: one of `sets`, `classic` or `all`")
    exclude: tuple[str, ...] = Field((), description="names of the catalogue that no model may see")
    protected: tuple[str, ...] = Field(
        (),
        description="words that no feature may have in its name, besides those for what the law protects; * for any letters",
    )

    allow_protected: dict[str, str] = Field(
        {},
        description="why a feature may be seen by models although it is protected, and who says so, by its name; the model card "
        "prints it",
    )

    actionable: tuple[str, ...] = Field(
        (),
        description="attributes of the source that a team can act on, such as a contract or a way to pay: the reasons of a prediction "
        "say so",
    )

    @field_validator("allow_protected")
    @classmethod
    def _each_has_a_reason(cls, reasons: dict[str, str]) -> dict[str, str]:
        if without := [name for name, reason in reasons.items() if not any(letter.isalpha() for letter in reason)]:
            raise ValueError(
                f"{', '.join(without)} has no reason; expected why a model may see it and who says so, such as "
                f'`{without[0]}: "priced by it, by law; Ann Smith, 2026-03-01"`, or leave it out'
            )
        return {name: " ".join(reason.split()) for name, reason in reasons.items()}

    @field_validator("protected")
    @classmethod
    def _protected_words_have_letters(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if nothing := [word for word in words if not any(letter.isalpha() for letter in word)]:
            raise ValueError(
                f"{', '.join(map(repr, nothing))} has no letter and protects nothing; name a word, or leave it out"
            )
        return words
