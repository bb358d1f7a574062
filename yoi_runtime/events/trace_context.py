"""The ``traceparent`` of W3C Trace Context: whether a text is one. Pure.

Grammar: https://www.w3.org/TR/trace-context/, section 3.2. Where it stands in a payload: docs/protocol.md, "event".
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["TRACEPARENT", "traceparent_fault"]

TRACEPARENT: Final = "traceparent"
"""The member of a payload, beside ``event`` and ``data``, that holds one."""

_VERSION_0: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
# What a later version must begin with; ff is none. It may add fields, and a bound keeps them from filling the log.
_LATER: Final = re.compile(r"(?!00|ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-[!-~]{0,200})?")


def traceparent_fault(text: object) -> str | None:
    """Say what keeps ``text`` from being a traceparent, None when it is one."""
    if not isinstance(text, str):
        return "not a text"
    found = _VERSION_0.fullmatch(text) or _LATER.fullmatch(text)
    if found is None:
        return "not version-traceid-parentid-flags in lower-case hex (00-32 digits-16 digits-2 digits)"
    if found[1].strip("0") == "":
        return "the trace id is all zero"
    if found[2].strip("0") == "":
        return "the parent id is all zero"
    return None
