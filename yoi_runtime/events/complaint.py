"""What pydantic found wrong with something foreign, told without its value."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import ValidationError

from yoi_runtime.events.strict_json import json_path

__all__ = ["Complaint", "first_complaint"]


class Complaint(NamedTuple):
    """What is wrong, and where."""

    where: str
    """The member, as in ``data.blocks[0].text``, or ``""`` for the whole."""

    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" if self.where else self.reason


def first_complaint(error: ValidationError, beneath: str = "") -> Complaint:
    """Return the first of pydantic's complaints: its place, taken to lie ``beneath`` that member, and its reason.

    Never the value: it is the peer's, and what we make of a complaint goes into logs and answers.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    parts = (beneath, *first["loc"]) if beneath else first["loc"]
    # Parts in angle brackets are tags of our unions, not members of the JSON.
    where = json_path(part for part in parts if not (isinstance(part, str) and part.startswith("<")))
    return Complaint(where, first["msg"])
