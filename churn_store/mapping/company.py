"""What ``churn.yaml`` says of a company's table of customers, for what reads such a table without the graph.

Belongs here: whether a file of customers can be read as a model's inputs, and by which description. Does not belong here: the
settings of the sources themselves (``file_settings``, ``churn_assets.settings.postgres``).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from churn_store.errors import InputError
from churn_store.mapping.file_settings import FileTable
from churn_store.redaction import shown_names
from churn_store.settings import ConfigFile, config_file
from churn_store.settings_errors import one_line

if TYPE_CHECKING:
    from churn_store.model.signature import Signature

ONLY_IN_A_DATABASE = frozenset({"table", "query"})
"""Names of a table's description that say where it lies in a database."""


class SourceConfig(ConfigFile):
    """The section ``source`` of ``churn.yaml``, as it is written."""

    source: dict[str, Any] = Field({}, description="as the graph reads it")


@dataclass(frozen=True)
class CustomersTable:
    """A company's table of customers.

    Attributes:
        description: how the table is read; ``None`` where a file of customers does not hold a model's inputs.
        why_not: the reason for that, for people.
    """

    description: FileTable | None
    why_not: str = ""


def customers_table(config: SourceConfig) -> CustomersTable:
    """The table of customers by ``churn.yaml`` and the environment.

    Raises:
        InputError: if its description is not understood.
    """
    source = config.source
    kind, shape = source.get("kind", "synthetic"), source.get("shape", "history")
    if kind not in {"files", "postgres"}:
        return CustomersTable(None, "the source is synthetic and has no table of customers")
    if shape != "table":
        return CustomersTable(None, "the source is a history, whose features are computed in the lake")
    customers = source.get("customers")
    if not isinstance(customers, dict):
        raise InputError(f"{config_file()}: source.customers: expected the description of a table; write it")
    described = {name: value for name, value in customers.items() if name not in ONLY_IN_A_DATABASE}
    try:
        description = FileTable.model_validate({"path": "customers", **described})
    except ValidationError as error:
        raise InputError(one_line(error, FileTable, where=f"{config_file()}: source.customers")) from error
    return CustomersTable(description)


def refuse_other_inputs(description: FileTable, signature: "Signature", *, release: str) -> None:
    """Refuse a description that lacks inputs of a release, or describes them as another kind.

    Raises:
        InputError: if it does.
    """
    described = description.attributes
    lacking = [name for name in signature.names if name not in described]
    if lacking:
        raise InputError(
            f"release {release} takes {shown_names(lacking)}, which source.customers.attributes of churn.yaml does not describe; "
            "map them there, train a model of the present attributes, or score a table in the release's own names: --like-release"
        )
    other = [column for column in signature.columns if described[column.name].kind != column.kind]
    if other:
        raise InputError(
            f"source.customers.attributes of churn.yaml describes {shown_names([column.name for column in other])} as another kind "
            f"than release {release} was trained with ({other[0].kind}); change it back, or train a model of the present attributes"
        )
