"""Sentences about settings that are not understood, in the words of the file.

Belongs here: which place of ``churn.yaml`` an error of pydantic is about, and what may be shown of it. Does not belong here: where
settings come from (``settings``).
"""

import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

SECRET_SECTIONS = frozenset({"store", "tracking"})
"""Sections whose addresses may hold passwords: their values are never printed."""

MISSING, NO_TEXT = "missing", "string_type"


def one_line(error: ValidationError, model: type[BaseModel], *, where: str) -> str:
    """All that is wrong with a configuration, in one line.

    Args:
        error: what pydantic found.
        model: the settings that were read.
        where: name of the file or command, with which the line begins.
    """
    return f"{where}: " + "; ".join(_sentence(problem, model) for problem in error.errors())


def _sentence(problem: ErrorDetails, model: type[BaseModel]) -> str:
    path, field = place(model, problem["loc"])
    name = ".".join(path) or "the whole"
    if problem["type"] == MISSING:
        meaning = f", {field.description.partition(';')[0]}" if field is not None and field.description else ""
        return f"{name} is missing{meaning}; write it into the file"
    quotes = ". Write it in quotes" if problem["type"] == NO_TEXT else ""
    return f"{name}: {_message(problem)}{_found(problem, path)}{quotes}"


def place(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], FieldInfo | None]:
    """The path of a setting as the file has it, and the field that it leads to, if it leads to one.

    Args:
        model: the settings.
        location: place as pydantic has it, with the names of chosen alternatives in between.
    """
    path: list[str] = []
    field: FieldInfo | None = None
    kind: Any = model
    for part in location:
        kind = _plain(kind)
        members = _alternatives(kind)
        if len(members) > 1:  # the place names which of them was tried
            kind = next((member for member in members if part in _tags(member, field)), Any)
            continue
        kind = members[0] if members else kind
        if isinstance(part, str) and part.startswith("["):  # the name of an entry rather than its value
            continue
        path.append(str(part))
        field = None
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = Any if field is None else field.annotation
        else:
            inner = [argument for argument in get_args(kind) if argument is not Ellipsis]
            kind = inner[-1] if inner else Any
    return path, field


def _plain(kind: Any) -> Any:
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind


def _alternatives(kind: Any) -> list[Any]:
    """The members of a union besides `None`; none if it is no union."""
    if get_origin(kind) in (Union, types.UnionType):
        return [_plain(member) for member in get_args(kind) if member is not type(None)]
    return []


def _tags(member: Any, field: FieldInfo | None) -> set[str]:
    """How pydantic names one alternative: by its discriminator, else by its type."""
    names = {getattr(member, "__name__", str(member))}
    if (
        field is not None
        and isinstance(field.discriminator, str)
        and isinstance(member, type)
        and issubclass(member, BaseModel)
    ):
        names |= set(map(str, get_args(member.model_fields[field.discriminator].annotation)))
    return names


def _message(problem: ErrorDetails) -> str:
    """What pydantic says; where it repeats a word that is an address, without it."""
    tag = str(problem.get("ctx", {}).get("tag", ""))
    said = problem["msg"].removeprefix("Value error, ")
    return said.replace(tag, "...") if "://" in tag else said


def _found(problem: ErrorDetails, path: list[str]) -> str:
    """The value that was found; not one that may hold a password: an address, that of a misspelt name, or a whole section."""
    value = problem["input"]
    secret = bool(path) and (path[0] in SECRET_SECTIONS or path[-1] == "url")
    secret |= problem["type"] == "extra_forbidden" or (isinstance(value, str) and "://" in value)
    shown = isinstance(value, str | int | float | bool | None) and not secret
    return f" (found {value!r})" if shown else ""
