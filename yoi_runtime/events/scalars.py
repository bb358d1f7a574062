"""The scalar types of the vocabulary: text, Rust's integer ranges, times, ids and free JSON.

Strict where serde is strict: a boolean is no integer, 1.0 is no integer, a number is no text.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, Strict
from pydantic_core import PydanticCustomError

from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events.strict_json import check_json

__all__ = [
    "I32",
    "I64",
    "U16",
    "U32",
    "U64",
    "Flag",
    "Json",
    "Omittable",
    "Str",
    "UtcTime",
    "WorkerId",
]

_T = TypeVar("_T")

Str = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]

# Upstream's usize is a U64 here: it runs on 64-bit machines, and JSON does not say.
U16 = Annotated[int, Field(strict=True, ge=0, le=2**16 - 1)]
U32 = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]
U64 = Annotated[int, Field(strict=True, ge=0, le=2**64 - 1)]
I32 = Annotated[int, Field(strict=True, ge=-(2**31), le=2**31 - 1)]
I64 = Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]

# No $-anchored Python regex here: pydantic's engine takes "$" for the very end, without a trailing newline.
UtcTime = Annotated[
    str,
    Field(strict=True, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$"),
]
WorkerId = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def _checked(value: object) -> object:
    try:
        check_json(value)
    except EventInvalidError as error:
        where = f" at {error.where}" if error.where else ""
        # Not as {reason} in a template: braces of a peer's key would be taken for placeholders.
        raise PydanticCustomError("json", "{text}", {"text": f"{error.reason}{where}"}) from None
    return value


Json = Annotated[object, AfterValidator(_checked)]
"""Any JSON value as Python has it: dict with text keys, list, str, int, finite float, bool, None."""


def _is_none(value: object) -> bool:
    return value is None


Omittable = Annotated[_T | None, Field(exclude_if=_is_none)]
"""A member that is left out of the JSON when it is None; null decodes as None."""
