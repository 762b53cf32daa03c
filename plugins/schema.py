"""Fields of a pydantic class, from which page controls, API, MCP tools and command-line flags are made."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from models.errors import LimpidError

Kind = Literal["bool", "int", "float", "str", "choice", "path"]
Model = TypeVar("Model", bound=BaseModel)

_KINDS: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "str", Path: "path"}


class FormError(LimpidError):
    """A parameter has a wrong value or name, or a type that is not supported."""


@dataclass(frozen=True)
class FieldSpec:
    """One parameter. ``choices`` is set for kind "choice"; ``minimum`` and ``maximum`` are inclusive, or None."""

    name: str
    kind: Kind
    default: Any
    choices: tuple[Any, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    help: str = ""
    label: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values, without what is None or empty (``default`` is always there)."""
        given = {name: value for name, value in asdict(self).items() if value not in (None, "")}
        return {**given, "default": self.default}


def fields(params: type[BaseModel]) -> list[FieldSpec]:
    """Return the fields of ``params`` in order. Raises FormError for an unsupported type or a missing default."""
    return [_field(name, info) for name, info in params.model_fields.items()]


def _field(name: str, info: FieldInfo) -> FieldSpec:
    if info.is_required():
        raise FormError(f"The parameter '{name}' needs a default: only the picture may be required.")
    if info.alias or info.validation_alias:
        raise FormError(f"The parameter '{name}' has an alias: it must be known by one name.")
    kind, choices = _kind(name, info.annotation)
    minimum, maximum = _bounds(info, int(kind == "int"))
    label = info.title or name.replace("_", " ").capitalize()
    default = info.get_default(call_default_factory=True, validated_data={})
    return FieldSpec(name, kind, default, choices, minimum, maximum, info.description or "", label)


def _kind(name: str, annotation: Any) -> tuple[Kind, tuple[Any, ...] | None]:
    if get_origin(annotation) in (Union, types.UnionType):  # "X | None" is X that may be left empty
        inner = [argument for argument in get_args(annotation) if argument is not type(None)]
        if len(inner) == 1:
            return _kind(name, inner[0])
    if get_origin(annotation) is Literal:
        return "choice", get_args(annotation)
    if annotation in _KINDS:
        return _KINDS[annotation], None
    raise FormError(f"The parameter '{name}' has the type {annotation}: use bool, int, float, str or Literal.")


def _bounds(info: FieldInfo, step: int) -> tuple[float | None, float | None]:
    """Return the inclusive bounds; an exclusive one of a whole number is moved by ``step``, 1 (of others 0)."""
    names = ("ge", "gt", "le", "lt")
    found = {name: getattr(limit, name) for limit in info.metadata for name in names if hasattr(limit, name)}
    minimum = found["gt"] + step if "gt" in found else found.get("ge")
    maximum = found["lt"] - step if "lt" in found else found.get("le")
    return minimum, maximum


def validate(params: type[Model], values: Mapping[str, Any]) -> Model:
    """Return a ``params`` made of ``values``. Raises FormError, whose sentence names every wrong value."""
    unknown = [str(name) for name in values if name not in params.model_fields]
    if unknown:
        named, known = ", ".join(f"'{name}'" for name in unknown), ", ".join(params.model_fields) or "none"
        raise FormError(f"Unknown parameter {named} (known: {known}).")
    try:
        return params.model_validate(dict(values))
    except ValidationError as error:
        raise FormError("; ".join(_sentence(one) for one in error.errors()) + ".") from error


_EXPECTED = {  # sentence for pydantic's kinds of errors, with their context
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be above {gt}",
    "less_than": "must be below {lt}",
    "literal_error": "must be one of {expected}",
    "value_error": "is not accepted: {error}",  # raised by a validator of the plugin
    "string_type": "must be text",
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "must be a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
}


def _sentence(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"][:1]) or "the parameters"
    given = repr(error.get("input"))
    given = given if len(given) <= 60 else given[:57] + "…"
    wanted = _EXPECTED.get(error["type"])
    wanted = wanted.format(**error.get("ctx", {})) if wanted else f"is not accepted: {error['msg']}"
    return f"{name} {wanted} (given: {given})"
