"""Whether a request is what the case expects, and waits are a backoff. Pure: the player sees, this judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from yoi_runtime.conformance.case import Asks, Case, Level
from yoi_runtime.conformance.handshake import HttpRequest
from yoi_runtime.conformance.result import RULES, Finding
from yoi_runtime.conformance.timing import Timing
from yoi_runtime.protocol.versions import SUBPROTOCOL_V1, ProtocolVersion

__all__ = ["Asked", "StartKind", "judge_headers", "judge_request", "judge_version", "judge_waits"]

# Six tries in less than this are a hot loop. Full jitter under 0.25, 0.5, 1, … 8 s falls below it once in a million.
_HOT_LOOP_SECONDS: Final = 0.4
# The later waits against the first two: jitter hides a doubling from one wait to the next. Six equal waits are 2.
_GROWTH: Final = 3
_RETRY_SECTION: Final = "diagnostic"
_SECRET_WORDS: Final = ("token", "secret", "password", "auth", "api_key", "apikey", "bearer")


class StartKind(StrEnum):
    """Which of the start parameters a request has."""

    NOW = "from=now"
    OLDEST = "from=oldest"
    CURSOR = "cursor"
    EVENT_ID = "last_event_id"


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a request wants to begin. ``place`` None: none of the script's, or no place at all."""

    kind: StartKind
    place: int | None = None
    worker_id: str | None = None

    def __str__(self) -> str:
        if self.kind in (StartKind.NOW, StartKind.OLDEST):
            return self.kind.value
        if self.place is None:
            return f"{self.kind.value} of a place the script never gave"
        return f"{self.kind.value} of {_place(self.place)}"


def _place(place: int) -> str:
    return f"place {place} (behind event {place})" if place else "place 0 (before the first event)"


def judge_request(
    case: Case, asks: Asks, asked: Asked, first: Asked, *, waited_seconds: float | None, delivered: int, timing: Timing
) -> list[Finding]:
    """Judge the request that opens a connection.

    Args:
        first: the client's very first request.
        waited_seconds: since the connection before ended; None for the first.
        delivered: up to which event everything was handed over.
    """
    findings = []

    def wrong(expected: str, level: Level = case.level) -> None:
        findings.append(Finding(level, case.section, expected, str(asked)))

    if asked.worker_id != first.worker_id:
        wrong(f"the same stream again ({first.worker_id or 'everything'})")
    if asks.after is not None and not _is_after(asked, asks.after, first):
        expected = f"a request that resumes behind {_place(asks.after)}"
        wrong(expected, Level.SHOULD if asked.place in asks.tolerated else case.level)
    if asks.never_after is not None and asked.place == asks.never_after:
        wrong("the refused request not to be repeated")
    if asks.same_as_first and asked != first:
        wrong(f"the first request again ({first})")
    if asks.after_delivered:
        if asked.kind is StartKind.NOW or (asked.place is None and asked.kind is not StartKind.OLDEST):
            wrong("the restarted client to resume from the cursor it has stored")
        elif asked.place is not None and asked.place > delivered:
            wrong(f"a place no further than behind event {delivered}, the last that was handed over")
    if waited_seconds is not None and timing.is_too_early(waited_seconds, asks.not_before_ms):
        expected = f"no request for {timing.told_ms(asks.not_before_ms)} ms, as retry_after_ms asked"
        findings.append(Finding(case.level, _RETRY_SECTION, expected, f"one after {waited_seconds * 1000:.0f} ms"))
    return findings


def _is_after(asked: Asked, place: int, first: Asked) -> bool:
    if place == 0 and asked.kind is StartKind.OLDEST and first.kind is StartKind.OLDEST:
        return True
    return asked.place == place


def judge_waits(case: Case, waits_seconds: Sequence[float]) -> list[Finding]:
    """Judge the waits before each of several tries in a row."""
    findings = []
    shown = ", ".join(f"{wait * 1000:.0f}" for wait in waits_seconds) + " ms"
    if sum(waits_seconds) < _HOT_LOOP_SECONDS:
        least_ms = _HOT_LOOP_SECONDS * 1000
        expected = f"{len(waits_seconds)} tries with delays between them, together {least_ms:.0f} ms at least"
        findings.append(Finding(Level.MUST, case.section, expected, shown))
    elif sum(waits_seconds[2:]) < _GROWTH * sum(waits_seconds[:2]):
        findings.append(Finding(Level.SHOULD, case.section, "delays that grow from try to try", shown))
    return findings


def judge_headers(request: HttpRequest, token: str | None) -> list[Finding]:
    """Judge what no request may have, whatever it asks for."""
    rule = RULES["not_a_browser"]
    findings = [
        rule.broken("not_a_browser", f"no {name} header", f"{name}: {request.headers[name][:80]}")
        for name in ("origin", "sec-websocket-origin", "cookie")
        if name in request.headers
    ]
    site = request.headers.get("sec-fetch-site", "none")
    if site != "none":
        findings.append(
            rule.broken("not_a_browser", "no sec-fetch-site header but none", f"sec-fetch-site: {site[:80]}")
        )
    form = RULES["request_form"]
    for name, value in request.parameters:
        if any(word in name.lower() for word in _SECRET_WORDS) or (token is not None and value == token):
            findings.append(form.broken("request_form", "no secret in the query", f"a parameter {name[:40]!r}"))
    if token is not None and request.headers.get("authorization") != f"Bearer {token}":
        findings.append(form.broken("request_form", "the token as Authorization: Bearer", "another header, or none"))
    if request.headers.get("sec-websocket-version") != "13" or not request.headers.get("sec-websocket-key"):
        expected = "Sec-WebSocket-Version: 13 and a Sec-WebSocket-Key"
        findings.append(form.broken("request_form", expected, "another version, or no key"))
    return findings


def judge_version(request: HttpRequest, version: ProtocolVersion) -> list[Finding]:
    """Judge whether the client speaks the version that it is tested in."""
    form = RULES["request_form"]
    offers = SUBPROTOCOL_V1 in request.subprotocols
    if version is ProtocolVersion.V1 and not offers:
        return [form.broken("request_form", f"Sec-WebSocket-Protocol: {SUBPROTOCOL_V1}, in mode v1", "not offered")]
    if version is ProtocolVersion.V0 and request.subprotocols:
        offered = ", ".join(request.subprotocols)[:80]
        return [form.broken("request_form", "no subprotocol, in mode v0", f"offered: {offered}")]
    return []
